"""Parts that no run writes, planted beside sound ones: left out in one line, and every reader works on."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.verification import verify
from s2sw.pipeline.results.reading import open_results
from tests.pipeline.review.serving import served
from tests.support.screened import Screened

EARLIER, LATER = "20200101T000000-aaaaaa", "20991130T000000-aaaaaa"
READERS = {
    "export": ["export", "-f", "csv"],
    "threshold": ["threshold", "--target-rate", "0.5"],
    "worklist": ["worklist", "--json"],
    "cases": ["worklist", "--json", "--by", "case"],
    "drift": ["drift", "--json"],
    "report": ["report"],
    "compact": ["compact"],
}
READING = list(READERS)[:-1]
"""Those that change no part."""
FEW = {"threshold": 1}
"""What cannot work on so few rows, and says so in a line; it reads them all the same."""
FAR = pa.array([1], pa.int64())
OTHER_COLUMNS: dict[str, tuple[str, dict[str, pa.Array | None]]] = {
    "text for a score": ("slices", {"image_score": pa.array(["high"])}),
    "list for a run": ("slices", {"run_id": pa.array([["a"]])}),
    "structure for layers": ("slices", {"map_layers": pa.array([{"grid": "x"}])}),
    "number for an id": ("objects", {"object_id": FAR}),
    "bytes for an address": ("objects", {"uri": pa.array([b"x"])}),
    "no status": ("objects", {"status": None}),
    "no fingerprint": ("slices", {"fingerprint": None}),
    "the name of a file": ("slices", {"__file": pa.array(["x"])}),
    "one name twice": ("objects", {"Object_ID": FAR}),
}  # fmt: skip
UNKNOWN = [pa.array([1]), pa.array(["x"]), pa.array([{"a": 1}]), pa.array([[b"x"]])]


def said(screened: Screened, to: Path, command: list[str]) -> Result:
    more = {"export": ["--to", to], "compact": ["--private-dir", screened.private]}.get(command[0], [])
    if command[0] == "export":
        more = [*more, "--private-dir", screened.private]
    return CliRunner().invoke(app, [str(one) for one in (command[0], screened.output, *command[1:], *more)])


def plant(screened: Screened, run: str, kind: str = "") -> str:
    """Add a part of one row to both tables, one with columns of a kind; return that part's name."""
    other, columns = OTHER_COLUMNS.get(kind, ("", {}))
    for table in ("slices", "objects"):
        first = min((screened.output / table).rglob("*.parquet"))
        whole = pq.ParquetFile(first).read().slice(0, 1)
        found: dict[str, Any] = {name: whole[name] for name in whole.column_names}
        found |= columns if table == other else {}
        kept = {name: column for name, column in found.items() if column is not None}
        pq.write_table(pa.table(kept), first.with_name(f"{run}-00000.parquet"))
    return f"{other}/{run}-00000.parquet"


@pytest.mark.parametrize("run", [EARLIER, LATER])
@pytest.mark.parametrize("kind", OTHER_COLUMNS)
def test_a_part_of_other_columns_is_left_out(ward: Screened, kind: str, run: str) -> None:
    rows = len(open_results(str(ward.output), fingerprint="all").slices())
    name = plant(ward, run, kind)
    output = LocalOutput(ward.output)
    assert list(committed(output).damaged) == [name]
    assert committed(output).says_damaged.startswith(f"{name} is damaged and left out (")
    results = open_results(str(ward.output), fingerprint="all")
    assert len(results.slices()) == len(results.sql("FROM slices").fetchall()) == rows
    assert len(results.objects()) == len(results.sql("FROM objects").fetchall())
    assert next(one.name for one in verify(output)) == name


def test_every_command_reads_the_sound_parts(ward: Screened, tmp_path: Path) -> None:
    before = {name: said(ward, tmp_path / f"0{name}", READERS[name]) for name in READING}
    kinds = [kind for kind, (table, _) in OTHER_COLUMNS.items() if table == "objects"]
    names = [plant(ward, f"{run[:8]}T0{number}0000-aaaaaa", kind)
             for number, kind in enumerate(kinds) for run in (EARLIER, LATER)]  # fmt: skip
    for name, command in READERS.items():
        after = said(ward, tmp_path / f"1{name}", command)
        assert after.exit_code == FEW.get(name, 0), (name, after.output)
        (line,) = [one for one in after.stderr.splitlines() if "left out" in one]
        assert line.startswith(f"s2sw: {min(names)} is damaged and left out (")
        assert f"and {len(names) - 1} more like it" in line
        if name in READING and name != "export":  # its folder has another name
            assert after.stdout == before[name].stdout, name
    with served(ward.output, ward.private) as page:
        assert {page.get(path).status for path in ("/", "/slices")} == {200}


def test_a_part_of_a_later_version_is_read(ward: Screened) -> None:
    """Columns that nobody knows yet are no reason to leave out a part, of whatever type they are."""
    rows = len(open_results(str(ward.output), fingerprint="all").slices())
    runs = [f"20991130T00000{number}-aaaaaa" for number in range(len(UNKNOWN))]
    for run, column in zip(runs, UNKNOWN, strict=True):
        plant(ward, run)
        for path in ward.output.rglob(f"{run}-00000.parquet"):
            pq.write_table(pq.ParquetFile(path).read().append_column("new", column), path)
    results = open_results(str(ward.output), fingerprint="all")
    assert (
        len(results.slices()) == len(results.sql("SELECT * FROM all_slices").fetchall()) == rows + len(runs)
    )
    assert not committed(LocalOutput(ward.output)).damaged
