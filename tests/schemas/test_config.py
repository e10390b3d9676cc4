"""What the configuration refuses, and what a run's fingerprint depends on."""

from typing import Any

import pytest
from pydantic import ValidationError

from s2sw.schemas.config import ScreenConfig, run_fingerprint

BASE: dict[str, Any] = {"source": "/archive", "output": "/results"}


def config(**values: Any) -> ScreenConfig:
    return ScreenConfig.model_validate({**BASE, **values})


def fingerprint(**values: Any) -> str:
    return run_fingerprint(config(**values), "bundle", "fp32")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("threshold", 1.1),
        ("mode", "public"),
        ("precision", "fp64"),
        ("limit", 0),
        ("partitions", 0),
        ("partitions", 257),
        ("max_quarantined", -0.1),
        ("tiles", {"size": 100, "overlap": 100}),
        ("cluster", {"workers": 0}),
        ("storage", {"tries": 0}),
        ("decode", {"limits": {"side": -1}}),
        ("colour", "red"),
    ],
)
def test_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        config(**{key: value})


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().threshold = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": 0.4},
        {"tiles": {"size": 512}},
        {"decode": {"percentiles": (1, 99)}},
        {"decode": {"limits": {"side": 1000}}},
    ],
)
def test_what_changes_rows_changes_the_fingerprint(values: dict[str, Any]) -> None:
    assert fingerprint(**values) != fingerprint()


@pytest.mark.parametrize(
    "values",
    [
        {"source": "/other"},
        {"output": "/other"},
        {"mode": "open"},
        {"limit": 3},
        {"until": "06:00"},
        {"batch_size": 2},
        {"cluster": {"workers": 1}},
        {"parts": {"rows": 5}},
        {"storage": {"tries": 1}},
    ],
)
def test_what_changes_no_row_does_not(values: dict[str, Any]) -> None:
    assert fingerprint(**values) == fingerprint()


def test_bundle_and_precision_are_part_of_it() -> None:
    prints = {run_fingerprint(config(), b, p) for b in ("one", "two") for p in ("fp32", "bf16")}
    assert len(prints) == 4
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in prints)
