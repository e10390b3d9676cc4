"""What is done is what the objects parts say, under the same fingerprint only."""

from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.done import deferred_objects, done_objects
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.ledger.writer import Writer
from s2sw.schemas.config import PartSettings
from s2sw.schemas.layout import DEFERRED_FILE
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.tables import DEFERRED
from tests.support.rows import quarantined, screened, stored


def commit(folder: Path, run_id: str, fingerprint: str, number: int) -> None:
    constants = {"bundle": "b", "fingerprint": fingerprint, "run_id": run_id, "threshold": 0.5}
    writer = Writer(LocalOutput(folder), PartSettings(), constants, keep_uri=False)
    writer.add(screened(number, 0.5), f"id-{number}", stored(number))
    writer.add(quarantined(number + 1), f"id-{number + 1}", stored(number + 1))
    writer.commit()


def done(
    folder: Path, fingerprint: str, run_id: str = "run-9", force: bool = False
) -> list[tuple[str, str, str | None]]:
    rows = done_objects(LocalOutput(folder), fingerprint, run_id, force).read_all().to_pylist()
    return [(row["object_id"], row["status"], row["reason"]) for row in rows]


def test_nothing_is_done_in_a_new_output(tmp_path: Path) -> None:
    assert done(tmp_path / "none", "f") == []
    assert deferred_objects(LocalOutput(tmp_path)).read_all().num_rows == 0


def test_only_rows_of_the_fingerprint_count(tmp_path: Path) -> None:
    commit(tmp_path, "run-1", "f", 0)
    commit(tmp_path, "run-2", "other", 10)
    commit(tmp_path, "run-3", "f", 20)
    first = [("id-0", "screened", None), ("id-1", "quarantined", "truncated")]
    third = [("id-20", "screened", None), ("id-21", "quarantined", "truncated")]
    assert done(tmp_path, "f") == first + third
    assert done(tmp_path, "f", "run-3", force=True) == third
    assert done(tmp_path, "f", "run-2", force=True) == []


@pytest.mark.parametrize("reason", [Reason.IO_ERROR, Reason.THROTTLED, Reason.DENIED, Reason.NOT_FOUND])
def test_what_storage_kept_from_an_earlier_run_is_asked_for_again(tmp_path: Path, reason: Reason) -> None:
    constants = {"bundle": "b", "fingerprint": "f", "run_id": "run-1", "threshold": 0.5}
    writer = Writer(LocalOutput(tmp_path), PartSettings(), constants, keep_uri=False)
    writer.add(quarantined(0, reason), "id-0", stored(0))
    writer.add(quarantined(1, Reason.WORKER_CRASHED), "id-1", stored(1))
    writer.commit()
    assert done(tmp_path, "f") == [("id-1", "quarantined", "worker_crashed")]
    assert len(done(tmp_path, "f", "run-1")) == 2, "the run itself counts it"


def test_what_was_deferred_is_remembered(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    table = DEFERRED.empty_table().from_pylist([{"object_id": "a", "since": "run-1"}], DEFERRED)
    output.write(DEFERRED_FILE, table_bytes(table))
    assert deferred_objects(output).read_all().equals(table)
