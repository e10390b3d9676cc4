"""What is done is what the objects parts say, under the same fingerprint only."""

from pathlib import Path

from connectors.outputs import LocalOutput
from pipeline.ledger import DEFERRED_FILE, deferred_objects, done_objects
from pipeline.writer import Writer, table_bytes
from schemas.config import PartSettings
from schemas.tables import DEFERRED
from tests.pipeline.rows import quarantined, screened, stored


def commit(folder: Path, run_id: str, fingerprint: str, number: int) -> None:
    constants = {"bundle": "b", "fingerprint": fingerprint, "run_id": run_id, "threshold": 0.5}
    writer = Writer(LocalOutput(folder), PartSettings(), constants, keep_uri=False)
    writer.add(screened(number, 0.5), f"id-{number}", stored(number))
    writer.add(quarantined(number + 1), f"id-{number + 1}", stored(number + 1))
    writer.commit()


def done(folder: Path, fingerprint: str, run_id: str | None = None) -> list[tuple[str, str, str | None]]:
    rows = done_objects(LocalOutput(folder), fingerprint, run_id).read_all().to_pylist()
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
    assert done(tmp_path, "f", run_id="run-3") == third
    assert done(tmp_path, "f", run_id="run-2") == []


def test_what_was_deferred_is_remembered(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    table = DEFERRED.empty_table().from_pylist([{"object_id": "a", "since": "run-1"}], DEFERRED)
    output.write(DEFERRED_FILE, table_bytes(table))
    assert deferred_objects(output).read_all().equals(table)
