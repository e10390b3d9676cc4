"""Parts hold whole objects, exactly the declared columns, and are committed by their objects part."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.parquet import parquet_bytes
from s2sw.pipeline.ledger.writer import Writer, sweep_orphans
from s2sw.pipeline.privacy.ids import uid_ids
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.config import PartSettings
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.tables import OBJECTS, SLICES
from tests.support.rows import quarantined, screened, slice_row, stored

CONSTANTS = {"bundle": "b", "fingerprint": "f", "run_id": "run", "threshold": 0.5}


def writer(folder: Path, rows: int = 1000, keep_uri: bool = False) -> Writer:
    return Writer(LocalOutput(folder), PartSettings(rows=rows, seconds=3600), CONSTANTS, keep_uri)


def test_an_object_and_its_slices_come_back(tmp_path: Path) -> None:
    w = writer(tmp_path)
    w.add(screened(3, 0.25, 0.75, 0.5), "id-3", stored(3))
    w.add(quarantined(4), "id-4", stored(4))
    w.commit()
    results = open_results(str(tmp_path))
    good, bad = results.objects().to_pylist()
    part = "run-00000.parquet"
    assert good == {
        "object_id": "id-3", "status": "screened", "reason": None, "n_slices": 3, "max_score": 0.75,
        "max_rank_score": None, "max_rank_slice": None,
        "max_slice": 1, "bytes": 103, "decoder": "dicom", "attempts": 1, "part": part, "fingerprint": "f",
        "run_id": "run", "uri": None, "date": None, "site": None, "study_id": None, "series_id": None,
        "instance_id": None, "case_id": None,
    }  # fmt: skip
    assert bad == {
        "object_id": "id-4", "status": "quarantined", "reason": "truncated", "n_slices": 0, "max_score": None,
        "max_rank_score": None, "max_rank_slice": None,
        "max_slice": None, "bytes": 104, "decoder": "png", "attempts": 1, "part": part, "fingerprint": "f",
        "run_id": "run", "uri": None, "date": None, "site": None, "study_id": None, "series_id": None,
        "instance_id": None, "case_id": None,
    }  # fmt: skip
    rows = results.slices().to_pylist()
    assert [(row["object_id"], row["slice_index"], row["n_slices"], row["image_score"]) for row in rows] == [
        ("id-3", 0, 3, 0.25),
        ("id-3", 1, 3, 0.75),
        ("id-3", 2, 3, 0.5),
    ]


def test_uids_are_written_as_ids_only(tmp_path: Path) -> None:
    w = Writer(LocalOutput(tmp_path), PartSettings(), CONSTANTS, keep_uri=False, uid_ids=uid_ids(b"k" * 32))
    digests = (b"\x01" * 32, b"", b"\x01" * 32)
    w.add(replace(screened(0, 0.5), uids=digests), "id-0", stored(0))
    w.add(replace(screened(1, 0.5), uids=digests), "id-1", stored(1))
    w.commit()
    first, second = open_results(str(tmp_path)).objects().to_pylist()
    assert first["study_id"] == second["study_id"] != first["instance_id"]
    assert len(first["study_id"]) == 26
    assert first["series_id"] is None


def test_the_files_have_the_declared_schemas(tmp_path: Path) -> None:
    w = writer(tmp_path)
    w.add(screened(0, 0.5), "id-0", stored(0))
    w.commit()
    assert pq.read_schema(tmp_path / "slices/run-00000.parquet").equals(SLICES)
    assert pq.read_schema(tmp_path / "objects/run-00000.parquet").equals(OBJECTS)


def test_columns_that_are_not_declared_cannot_be_written() -> None:
    row = slice_row(0, 0) | CONSTANTS | {"object_id": "id", "n_slices": 1, "patient_name": "DOE^JANE"}
    data = parquet_bytes([row], SLICES)
    table = pq.read_table(pa.BufferReader(data))
    assert table.column_names == SLICES.names
    assert b"DOE" not in data
    assert "DOE" not in str(table.to_pylist())


def test_the_address_is_kept_in_open_mode_only(tmp_path: Path) -> None:
    for mode, keep in (("open", True), ("private", False)):
        w = writer(tmp_path / mode, keep_uri=keep)
        w.add(quarantined(1), "id-1", stored(1))
        w.commit()
    addresses = {
        mode: open_results(str(tmp_path / mode)).objects()["uri"].to_pylist() for mode in ("open", "private")
    }
    assert addresses == {"open": [stored(1).uri], "private": [None]}


def test_parts_close_when_they_have_their_rows_and_hold_whole_objects(tmp_path: Path) -> None:
    w = writer(tmp_path, rows=4)
    for number in range(5):
        w.add(screened(number, 0.1, 0.2), f"id-{number}", stored(number))
    w.commit()
    parts = [pq.read_table(path) for path in sorted((tmp_path / "objects").iterdir())]
    assert [part["object_id"].to_pylist() for part in parts] == [["id-0", "id-1"], ["id-2", "id-3"], ["id-4"]]
    slices = [pq.read_table(path) for path in sorted((tmp_path / "slices").iterdir())]
    assert [len(table) for table in slices] == [4, 4, 2]


def test_a_part_has_no_more_rows_than_it_may_but_for_one_large_object(tmp_path: Path) -> None:
    w = writer(tmp_path, rows=4)
    for number, slices in enumerate((3, 2, 2, 6, 0, 0, 0, 0, 0)):
        w.add(
            screened(number, *[0.1] * slices) if slices else quarantined(number),
            f"id-{number}",
            stored(number),
        )
    w.commit()
    parts = [pq.read_table(path) for path in sorted((tmp_path / "objects").iterdir())]
    assert [part["n_slices"].to_pylist() for part in parts] == [[3], [2, 2], [6], [0] * 4, [0]]


def test_rows_say_day_and_site(tmp_path: Path) -> None:
    constants = CONSTANTS | {"run_id": "20260701T230000-aaaaaa"}
    w = Writer(LocalOutput(tmp_path), PartSettings(site="north", by_date=True), constants, keep_uri=False)
    w.add(screened(0, 0.5), "id-0", stored(0))
    w.commit()
    for table in ("objects", "slices"):
        (row,) = pq.read_table(tmp_path / table / "20260701T230000-aaaaaa-00000.parquet").to_pylist()
        assert (row["date"], row["site"]) == (date(2026, 7, 1), "north")


def test_old_objects_are_committed_without_more_rows(tmp_path: Path) -> None:
    w = Writer(LocalOutput(tmp_path), PartSettings(seconds=1e-9), CONSTANTS, keep_uri=False)
    w.add(quarantined(0), "id-0", stored(0))
    assert w.parts == 1


def test_committing_nothing_writes_nothing(tmp_path: Path) -> None:
    w = writer(tmp_path)
    w.commit()
    w.commit_if_due()
    assert list(tmp_path.iterdir()) == []


def test_a_part_without_slices_has_no_slices_file(tmp_path: Path) -> None:
    w = writer(tmp_path)
    w.add(quarantined(0, Reason.EMPTY), "id-0", stored(0))
    w.commit()
    assert [p.name for p in tmp_path.iterdir()] == ["objects"]


def test_who_may_not_write_any_more_writes_nothing(tmp_path: Path) -> None:
    def refuse() -> None:
        raise RuntimeError("lost")

    w = Writer(LocalOutput(tmp_path), PartSettings(), CONSTANTS, keep_uri=False, before_commit=refuse)
    w.add(screened(0, 0.5), "id-0", stored(0))
    with pytest.raises(RuntimeError, match="lost"):
        w.commit()
    assert list(tmp_path.iterdir()) == []


def test_slices_without_a_commit_are_not_read_and_are_swept(tmp_path: Path) -> None:
    w = writer(tmp_path)
    w.add(screened(0, 0.5), "id-0", stored(0))
    w.commit()
    orphan = parquet_bytes([slice_row(1, 0) | CONSTANTS | {"object_id": "x", "n_slices": 1}], SLICES)
    (tmp_path / "slices/dead-00000.parquet").write_bytes(orphan)
    (tmp_path / "slices/.tmp-1-dead-00001.parquet").write_bytes(b"half")
    (tmp_path / "objects/.tmp-1-dead-00000.parquet").write_bytes(b"half")
    assert open_results(str(tmp_path)).slices()["object_id"].to_pylist() == ["id-0"]
    assert sweep_orphans(LocalOutput(tmp_path)) == ["slices/dead-00000.parquet"]
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert files == ["objects/run-00000.parquet", "slices/run-00000.parquet"]
    assert sweep_orphans(LocalOutput(tmp_path)) == []


def test_of_an_object_screened_again_the_newest_rows_are_read(tmp_path: Path) -> None:
    for run_id, score in (("run-1", 0.25), ("run-2", 0.75)):
        constants = CONSTANTS | {"run_id": run_id}
        w = Writer(LocalOutput(tmp_path), PartSettings(), constants, keep_uri=False)
        w.add(screened(0, score, score), "id-0", stored(0))
        if run_id == "run-1":
            w.add(screened(1, 0.5), "id-1", stored(1))
        w.commit()
    results = open_results(str(tmp_path))
    assert [(row["object_id"], row["max_score"]) for row in results.objects().to_pylist()] == [
        ("id-1", 0.5),
        ("id-0", 0.75),
    ]
    assert [(row["object_id"], row["image_score"]) for row in results.slices().to_pylist()] == [
        ("id-1", 0.5),
        ("id-0", 0.75),
        ("id-0", 0.75),
    ]
