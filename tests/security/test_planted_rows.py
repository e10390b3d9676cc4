"""Rows planted in an output leave worklists, cases and drift as they were; profiles of others are refused."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from tests.support.archives import encoded, texture
from tests.support.screened import Screened

LATER = "20991130T000000-aaaaaa"
COMMANDS = {
    "objects": ["worklist", "--json"],
    "cases": ["worklist", "--json", "--by", "case"],
    "drift": ["drift", "--json"],
}
PLANTED: dict[str, dict[str, Any]] = {
    "no run": {"run_id": "zzz"},
    "no day": {"run_id": "20991131T000000-aaaaaa"},
    "far index": {"slice_index": (1 << 31) - 1},
    "negative index": {"slice_index": -(1 << 31)},
    "huge area": {"area_fraction": 1e30},
    "no area": {"area_fraction": float("nan")},
    "no score": {"image_score": float("nan")},
}


def said(screened: Screened, command: list[str]) -> Result:
    return CliRunner().invoke(app, [command[0], str(screened.output), *command[1:]])


def plant(screened: Screened, changes: dict[str, Any]) -> None:
    """Add a part to both tables with one row of a later run, changed."""
    for table in ("slices", "objects"):
        first = min((screened.output / table).rglob("*.parquet"))
        whole = pq.ParquetFile(first).read()
        row = whole.to_pylist()[0] | {"object_id": "a" * 26}
        row |= {name: value for name, value in changes.items() if name in row}
        path = first.with_name(f"{LATER}-00000.parquet")
        pq.write_table(pa.Table.from_pylist([row], schema=whole.schema), path)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_row_is_left_out(ward: Screened, kind: str) -> None:
    before = {name: said(ward, command) for name, command in COMMANDS.items()}
    assert {one.exit_code for one in before.values()} == {0}
    plant(ward, PLANTED[kind])
    for name, command in COMMANDS.items():
        after = said(ward, command)
        assert after.exit_code == 0, (name, after.output)
        assert "a" * 26 not in after.stdout
        assert after.stdout == before[name].stdout, name


def test_a_worklist_of_private_results_is_its_users_alone(ward: Screened) -> None:
    os.umask(0)
    for command in list(COMMANDS.values())[:2]:
        assert said(ward, command).exit_code == 0
    written = [ward.output / "worklist", ward.output / "cases"]
    written += [path for folder in written for path in folder.iterdir()]
    assert len(written) == 4
    assert {path.stat().st_mode & 0o077 for path in written} == {0}


def test_a_profile_that_others_may_write_to_is_refused(bundle: Path, tmp_path: Path) -> None:
    place, source = tmp_path / "profile", tmp_path / "source"
    for folder in (place, source):
        folder.mkdir()
    (source / "one.png").write_bytes(encoded(texture(20, 20, 1), "PNG"))
    place.chmod(0o777)
    command = ["screen", source, "-o", tmp_path / "out", "--profile", place, "--bundle", bundle]
    done = CliRunner().invoke(app, [*map(str, command), "--private-dir", str(tmp_path / "private")])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line == f"s2sw: profile: others may write to {place}: chmod 700 {place}"
