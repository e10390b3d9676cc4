"""Small files that say, or hold, far more than a run writes: refused by their footers, or while read."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.parquet.footer import NoParquetError, footer_bytes, parse_footer
from s2sw.connectors.parquet.tables import bounded_batches, bounded_table
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.done import done_objects
from s2sw.pipeline.ledger.merging import merges
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.ledger.verification import verify
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas import forms
from tests.security.test_planted_parts import LATER, plant
from tests.support.finished_runs import SETTINGS
from tests.support.screened import Screened

LONG = "x" * (8 << 20)
ROWS = 1000
"""Of one value of eight million letters: eight gigabytes in a file of some kilobytes."""


def file_of(columns: dict[str, Any]) -> bytes:
    sink = BytesIO()
    pq.write_table(pa.table(columns), sink, store_schema=False, compression="zstd")
    return sink.getvalue()


def repeated(value: str, rows: int = ROWS) -> pa.Array:
    """Return rows of one value that is held, and written, once."""
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def damaged(ward: Screened) -> dict[str, str]:
    return committed(LocalOutput(ward.output)).damaged


def test_a_text_that_is_repeated_is_not_spelled_out() -> None:
    data = file_of({"object_id": repeated(LONG), "reason": repeated("cut")})
    assert len(data) < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(NoParquetError, match="holds more than 4,096 MiB"):
        bounded_table(BytesIO(data))
    with pytest.raises(NoParquetError, match="holds more than 1,024 MiB"):
        list(bounded_batches(BytesIO(data), ROWS, 1 << 30))
    assert bounded_table(BytesIO(data), ["reason"])["reason"].to_pylist() == ["cut"] * ROWS
    assert pa.total_allocated_bytes() - before < 1 << 20
    assert pa.default_memory_pool().max_memory() < 3 << 30


def test_a_part_of_such_texts_is_left_out_of_what_is_done(ward: Screened) -> None:
    output = LocalOutput(ward.output)
    run = "20260703T000000-aaaaaa"
    done = done_objects(output, SETTINGS, run).read_all()
    plant(ward, LATER)
    path = ward.output / f"objects/{LATER}-00000.parquet"
    row = pq.ParquetFile(path).read()
    columns = {name: pa.concat_arrays([row[name].combine_chunks()] * ROWS) for name in row.column_names}
    path.write_bytes(file_of(columns | {"reason": repeated(LONG)}))
    output = LocalOutput(ward.output)
    assert done_objects(output, SETTINGS, run).read_all() == done
    assert path.name not in {small.part.name for group in merges(output, 5000) for small in group}
    assert any("holds more than" in one.problem for one in verify(output))


@pytest.mark.parametrize("bound", ["PART_ROWS", "PART_BYTES", "PART_VALUES"])
def test_what_a_footer_says_is_bounded(ward: Screened, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    plant(ward, LATER)
    assert not damaged(ward)
    for table, column in (("slices", "family_scores"), ("objects", "")):
        path = ward.output / f"{table}/{LATER}-00000.parquet"
        row = pq.ParquetFile(path).read()
        many = pa.concat_tables([row] * 2000)
        if column:
            lists = pa.array([[0.5] * 500] * 2000, row.schema.field(column).type)
            many = many.set_column(row.column_names.index(column), column, lists)
        path.write_bytes(table_bytes(many))
    most = {"PART_ROWS": 1999, "PART_BYTES": 10_000, "PART_VALUES": 999_999}
    monkeypatch.setattr(forms, bound, most[bound])
    found = damaged(ward)
    assert f"slices/{LATER}-00000.parquet" in found
    assert "says that it holds" in found[f"slices/{LATER}-00000.parquet"]
    assert LATER not in {row["run_id"] for row in open_results(str(ward.output)).slices().to_pylist()}


def test_a_hole_of_64_gigabytes_is_no_part(ward: Screened) -> None:
    plant(ward, LATER)
    for table in ("slices", "objects"):
        path = ward.output / f"{table}/{LATER}-00000.parquet"
        with path.open("wb") as file:
            file.write(b"PAR1")
            file.truncate(64 << 30)
            file.seek(0, os.SEEK_END)
            file.write(b"PAR1")
    assert len(damaged(ward)) == 2
    assert len(list(verify(LocalOutput(ward.output)))) == 2
    assert open_results(str(ward.output)).slices()


@pytest.mark.parametrize("length", [0, 7, 1 << 31, (1 << 32) - 1])
def test_a_footer_lies_within_its_file(length: int) -> None:
    whole = file_of({"a": [1]})
    data = whole[:-8] + length.to_bytes(4, "little") + b"PAR1"
    with pytest.raises(NoParquetError):
        parse_footer(data[-footer_bytes(data, len(data)) :])


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = file_of({"a": [1], "A": [2]})
    (tmp_path / "x.parquet").write_bytes(twice)
    with pytest.raises(NoParquetError, match="two columns of one name"):
        LocalOutput(tmp_path).footer("x.parquet", len(twice))
