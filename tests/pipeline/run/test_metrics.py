"""The metrics file: read back by the official parser, whole at any moment, without addresses."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from s2sw.pipeline.run import metrics
from s2sw.pipeline.run.metrics import Live, MetricsFile, metrics_text
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.outcomes import Reason, Status, status_of
from s2sw.schemas.run_record import RunSummary
from tests.support.finished_runs import BUNDLE, FIRST, SETTINGS, summarise
from tests.support.rows import quarantined, screened

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
OBJECTS = [screened(0, 0.25, 0.5), screened(1, 0.75), quarantined(2), quarantined(3, Reason.NOT_AN_IMAGE)]


def parse(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge")
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, "a sample stands twice"
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def running(run_id: str = FIRST) -> RunSummary:
    return RunSummary(run_id, SETTINGS, BUNDLE, "2026-07-01T01:00:00+00:00")


def test_a_finished_run_is_read_back() -> None:
    samples = parse(metrics_text(summarise(OBJECTS)))
    assert value(samples, "s2sw_objects_total", status="screened") == 2
    assert value(samples, "s2sw_objects_total", status="no_pixels") == 1
    assert value(samples, "s2sw_objects_total", status="deferred") == 0
    assert value(samples, "s2sw_quarantined_total", reason="truncated") == 1
    assert value(samples, "s2sw_slices_total") == 3
    assert value(samples, "s2sw_run_seconds", phase="screen") == 100
    assert value(samples, "s2sw_stage_seconds_total", stage="detect") == 160
    assert value(samples, "s2sw_listed_objects") == 4
    assert value(samples, "s2sw_listed_objects_by_status", status="quarantined") == 1
    assert value(samples, "s2sw_run_exit_code") == 0
    assert value(samples, "s2sw_run_in_progress") == 0
    assert value(samples, "s2sw_last_run_timestamp_seconds") == 1782867720  # 2026-07-01T01:02:00Z


def test_every_status_and_reason_of_quarantine_has_a_sample() -> None:
    """An alert on an increase needs the zero before it."""
    keys = parse(metrics_text(summarise([])))
    reasons = {dict(labels)["reason"] for name, labels in keys if name == "s2sw_quarantined_total"}
    assert reasons == {reason.value for reason in Reason if status_of(reason) is Status.QUARANTINED}
    statuses = {dict(labels)["status"] for name, labels in keys if name == "s2sw_objects_total"}
    assert statuses == {status.value for status in Status}


def test_a_running_run_has_no_end_and_no_account() -> None:
    samples = parse(metrics_text(running()))
    assert value(samples, "s2sw_run_in_progress") == 1
    names = {name for name, _ in samples}
    assert names.isdisjoint(
        {
            "s2sw_run_exit_code",
            "s2sw_missing_objects",
            "s2sw_listed_objects",
            "s2sw_last_run_timestamp_seconds",
        }
    )


def test_each_partition_is_told_while_a_run_works_and_after_it() -> None:
    partitions = [
        {"number": 0, "objects": 7, "finished": 5, "writers": 1, "parts": 1},
        {"number": 12, "objects": 6, "finished": 6, "writers": 3, "parts": 2},
    ]
    working = parse(metrics_text(running(), live=Live(Tally(total=13), 1, 2.0, partitions)))
    ended = parse(metrics_text(summarise(OBJECTS, partitions=partitions)))
    for samples in (working, ended):
        assert value(samples, "s2sw_partition_objects", partition="0") == 7
        assert value(samples, "s2sw_partition_finished", partition="12") == 6
        assert value(samples, "s2sw_partition_writers", partition="12") == 3
    one = parse(metrics_text(running(), live=Live(Tally())))
    assert not [name for name, _ in one if "partition" in name]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"missing": 2}, 1),
        ({"outcome": "failed"}, 1),
        ({"by_status": {"screened": 3, "deferred": 1}}, 3),
        ({"max_quarantined": 0.2}, 4),
        ({"max_quarantined": 0.25}, 0),
    ],
)
def test_the_exit_code_is_told(changes: dict[str, object], code: int) -> None:
    samples = parse(metrics_text(summarise(OBJECTS, **changes)))
    assert value(samples, "s2sw_run_exit_code") == code


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30))
def test_labels_survive(text: str) -> None:
    summary = summarise(OBJECTS, bundle=BUNDLE | {"detector": text})
    (labels,) = [dict(labels) for name, labels in parse(metrics_text(summary)) if name == "s2sw_run_info"]
    assert labels["detector"] == text


def test_the_file_follows_the_run(tmp_path: Path) -> None:
    path = tmp_path / "collector/s2sw.prom"
    summary, tally = running(), Tally(4)
    with MetricsFile(str(path), summary, lambda: Live(tally)):
        assert value(parse(path.read_text()), "s2sw_run_in_progress") == 1
        for finished in OBJECTS:
            tally.add(finished)
        summary.outcome = "finished"
    samples = parse(path.read_text())
    assert value(samples, "s2sw_objects_total", status="screened") == 2
    assert value(samples, "s2sw_run_in_progress") == 0
    assert [entry.name for entry in path.parent.iterdir()] == ["s2sw.prom"]


def test_a_run_at_work_tells_its_queues(tmp_path: Path) -> None:
    path, tally = tmp_path / "s2sw.prom", Tally(10, stage_seconds={"decode": 2.0, "detect": 6.0})
    tally.add(OBJECTS[0])
    summary = running()
    summary.resources = {"actors": 4}
    with MetricsFile(str(path), summary, lambda: Live(tally, 1, 2.5)):
        samples = parse(path.read_text())
        summary.outcome = "finished"
    assert value(samples, "s2sw_waiting_objects") == 9
    assert value(samples, "s2sw_uncommitted_objects") == 1
    assert value(samples, "s2sw_oldest_uncommitted_seconds") == 2.5
    assert value(samples, "s2sw_stage_seconds_total", stage="detect") == 6
    assert value(samples, "s2sw_detectors") == 4
    assert not any("waiting" in name or "uncommitted" in name for name, _ in parse(path.read_text()))


def test_updates_wait_for_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tally = tmp_path / "s2sw.prom", Tally(4)
    with MetricsFile(str(path), running(), lambda: Live(tally)) as file:
        tally.add(OBJECTS[0])
        file.update()
        assert value(parse(path.read_text()), "s2sw_slices_total") == 0
        monkeypatch.setattr(metrics, "SECONDS", 0.0)
        file.update()
        assert value(parse(path.read_text()), "s2sw_slices_total") == 2


def test_a_run_that_breaks_has_failed(tmp_path: Path) -> None:
    path = tmp_path / "s2sw.prom"
    with (
        pytest.raises(OSError, match="gone"),
        MetricsFile(str(path), summarise(OBJECTS), lambda: Live(Tally(4))),
    ):
        raise OSError("the output is gone")
    assert value(parse(path.read_text()), "s2sw_run_exit_code") == 1


def test_a_file_that_cannot_be_written_ends_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with MetricsFile(str(tmp_path / "file/s2sw.prom"), running(), lambda: Live(Tally(1))):
        pass
    assert [record.getMessage() for record in caplog.records] == [
        f"metrics_file: cannot write {tmp_path}/file/s2sw.prom (File exists)"
    ]


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with MetricsFile(None, running(), lambda: Live(Tally(1))) as file:
        file.update()
    assert list(tmp_path.iterdir()) == []


def test_a_private_run_keeps_it_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "s2sw.prom"
    before = os.umask(0o077)  # as the command sets it in private mode
    try:
        with MetricsFile(str(path), running(), lambda: Live(Tally(1))):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
