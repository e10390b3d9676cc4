"""What somebody else wrote into an output is nothing that a terminal obeys, and ends in no traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from s2sw.jobs.logs import printable
from tests.support.screened import Screened

ESCAPE = "\x1b]0;title\x07\x1b[2J"
DEEP = "[" * 200_000


def commands(ward: Screened, to: Path) -> list[list[object]]:
    return [
        ["report", ward.output], ["audit", "verify", ward.output], ["verify", ward.output],
        ["export", ward.output, "-f", "csv", "--to", to, "--private-dir", ward.private],
    ]  # fmt: skip


def quiet(ward: Screened, to: Path) -> list[Result]:
    """Run every command that reads results; none may end in a traceback, or hand an escape on."""
    done = [CliRunner().invoke(app, [str(part) for part in command]) for command in commands(ward, to)]
    for one in done:
        assert one.exception is None or isinstance(one.exception, SystemExit), one.exception
        assert not set("\x1b\x07\x9b\u202e") & set(one.output)
    return done


def in_records(output: Path) -> None:
    for path in (output / "runs").glob("*.json"):
        path.write_text(path.read_text().replace("mvtec.pth", json.dumps(f"mvtec{ESCAPE}")[1:-1]))


def in_names(output: Path) -> None:
    for folder, name in (("objects", "-00000.parquet"), ("runs", ".json"), ("audit", "00000009.jsonl")):
        (output / folder / f"{ESCAPE}{name}").write_bytes(b"PAR1 no table PAR1")


def in_the_log(output: Path) -> None:
    for path in (output / "audit").iterdir():
        entry = json.loads(path.read_text()) | {"run_id": ESCAPE, "user": ESCAPE, "event": ESCAPE}
        path.write_text(json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n")


def deep_records(output: Path) -> None:
    for path in (output / "runs").glob("*.json"):
        path.write_text(DEEP)


def deep_log(output: Path) -> None:
    for path in (output / "audit").iterdir():
        path.write_text(DEEP)


@pytest.mark.parametrize("attack", [in_records, in_names, in_the_log, deep_records, deep_log])
def test_files_of_an_output(ward: Screened, tmp_path: Path, attack: Callable[[Path], None]) -> None:
    attack(ward.output)
    quiet(ward, tmp_path / "out")


COLUMNS: dict[str, list[tuple[str, Any]]] = {
    "slices": [
        ("image_score", pa.string()), ("rows", pa.string()), ("token_map", pa.int64()),
        ("map_layers", pa.string()), ("tiles", pa.string()), ("run_id", pa.list_(pa.string())),
    ],
    "objects": [
        ("object_id", pa.int64()), ("status", pa.int64()), ("uri", pa.binary()), ("reason", pa.float32()),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "column", "kind"), [(table, *one) for table, found in COLUMNS.items() for one in found]
)
def test_columns_of_another_type(ward: Screened, tmp_path: Path, table: str, column: str, kind: Any) -> None:
    for path in (ward.output / table).rglob("*.parquet"):
        whole = pq.ParquetFile(path).read()
        place = whole.column_names.index(column)
        pq.write_table(whole.set_column(place, column, pa.nulls(len(whole), kind)), path)
    quiet(ward, tmp_path / "out")


def test_scores_that_are_none_are_left_out_and_said(ward: Screened, tmp_path: Path) -> None:
    for path in (ward.output / "slices").rglob("*.parquet"):
        whole = pq.ParquetFile(path).read()
        place = whole.column_names.index("image_score")
        scores = pa.array([float("nan"), *[2.0] * (len(whole) - 1)], pa.float32())
        pq.write_table(whole.set_column(place, "image_score", scores), path)
    report = quiet(ward, tmp_path / "out")[0]
    assert "rows that no run wrote are left out" in report.output


def test_what_is_said_keeps_its_letters() -> None:
    assert printable("Gewebe älter, 画像 ✓") == "Gewebe älter, 画像 ✓"
    assert printable(f"a{ESCAPE}\u202eb\udcff") == "a\\x1b]0;title\\x07\\x1b[2J\\u202eb\\udcff"
