"""A run's exit code, what it writes of its configuration, and what it says at the end."""

import json
from typing import Any

import pytest
from rich.console import Console

from s2sw.pipeline.reports.summary_text import print_summary
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.run_record import RunSummary, record_bytes

BUNDLE = {"detector": "s2swclip", "prompts": "handwritten", "trained": False}
PRIVATE = {
    "source": "/ward/doe", "output": "/out/doe", "bundle": "/bundles/doe", "private_dir": "/private/doe",
    "metrics_file": "/metrics/doe", "storage": {"endpoint_url": "https://doe.example"},
    "cluster": {"address": "ray://doe:1", "temp_dir": "/tmp/doe"},
}  # fmt: skip


def summary(**values: Any) -> RunSummary:
    counts = {"screened": 8, "no_pixels": 0, "quarantined": 2, "deferred": 0}
    values = {"listed": 10, "by_status": counts, "outcome": "finished"} | values
    return RunSummary("run", "f", BUNDLE, "2026-01-01T00:00:00+00:00", **values)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, 0),
        ({"missing": 1}, 1),
        ({"duplicates": 1}, 1),
        ({"outcome": "failed"}, 1),
        ({"by_status": {"screened": 9, "deferred": 1}}, 3),
        ({"by_status": {"screened": 9, "deferred": 1}, "missing": 1}, 1),
        ({"max_quarantined": 0.1}, 4),
        ({"max_quarantined": 0.2}, 0),
        ({"max_quarantined": 0.0, "by_status": {"screened": 9, "deferred": 1}}, 3),
    ],
)
def test_exit_codes(values: dict[str, Any], code: int) -> None:
    assert summary(**values).exit_code == code


def test_a_private_run_file_names_no_place() -> None:
    private = ScreenConfig.model_validate(PRIVATE)
    assert "doe" not in str(record_bytes(summary(), private, {}))
    opened = private.model_copy(update={"mode": "open"})
    assert json.loads(record_bytes(summary(), opened, {}))["config"] == opened.model_dump(mode="json")


def said(run: RunSummary) -> str:
    console = Console(width=120, record=True, quiet=False, file=None, highlight=False)
    with console.capture() as capture:
        print_summary(run, ScreenConfig(source="/a", output="/results"), console)
    return capture.get()


def test_the_end_says_what_adds_up() -> None:
    text = said(summary(reasons={"truncated": 2}, seconds={"screen": 4.0, "total": 6.0}, slices=20))
    for part in ("10 listed = 8 + 0 + 2 + 0", "truncated 2", "5.0 slices/s", "UNTRAINED", "/results"):
        assert part in text


def test_the_end_says_what_does_not_add_up() -> None:
    assert "NOT accounted for: 3 missing, 1 twice" in said(summary(missing=3, duplicates=1))


def test_the_end_says_why_nothing_was_done() -> None:
    assert "Nothing was left to do" in said(summary())
    over = summary(by_status={"screened": 1, "deferred": 9})
    assert "The time window was over" in said(over)
