"""Rows planted in an output leave worklists, cases and drift as they were; profiles of others are refused."""

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from tests.pipeline.review.serving import served
from tests.security.forged import export
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
    "least count": {"n_slices": -(1 << 31)},
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


def test_planted_rows_are_left_out(ward: Screened) -> None:
    before = {name: said(ward, command) for name, command in COMMANDS.items()}
    assert {one.exit_code for one in before.values()} == {0}
    for kind, changes in PLANTED.items():
        plant(ward, changes)  # in the place of the one before
        for name, command in COMMANDS.items():
            after = said(ward, command)
            assert after.exit_code == 0, (kind, name, after.output)
            assert "a" * 26 not in after.stdout
            assert after.stdout == before[name].stdout, (kind, name)


CELLS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "of slices": ("slices", [
        {"rows": None}, {"cols": None}, {"mask": None}, {"mask_encoding": None}, {"similar_pictures": [None]},
        {"similar_pictures": [{"object_id": "../../etc", "slice_index": 0}]},
        {"similar_pictures": [{"object_id": "a" * 26, "slice_index": 0}] * 1000},
    ]),
    "no settings": ("objects", [{"fingerprint": None}]),
    "no run at all": ("objects", [{"run_id": "x" * 100_000}]),
    "a run behind all": ("objects", [{"run_id": "\x1b]0;owned\x07"}]),
}  # fmt: skip
"""What sound rows are changed to, in rows beside them, at a time."""


def test_no_cell_ends_a_command_or_the_page(ward: Screened, tmp_path: Path) -> None:
    """Columns that a run never leaves empty may be declared nullable by somebody else."""
    kept = tmp_path / "kept"
    shutil.copytree(ward.output, kept)
    for number, (kind, (table, changes)) in enumerate(CELLS.items()):
        shutil.rmtree(ward.output)
        shutil.copytree(kept, ward.output)
        path = max((ward.output / table).rglob("*.parquet"))
        whole = pq.ParquetFile(path).read()
        schema = pa.schema([one.with_nullable(True) for one in whole.schema])
        sound = whole.to_pylist()
        rows = [*sound, *(row | change for change in changes for row in sound)]
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        done = [said(ward, command) for command in COMMANDS.values()]
        done.append(export(ward, tmp_path / f"to-{number}", "-f", "csv"))
        assert {one.exit_code for one in done} == {0}, (kind, [one.exception for one in done])
        assert not any(set("\x1b\x07") & set(one.output) for one in done)
        with served(ward.output, ward.private) as page:
            assert {page.get(address).status for address in ("/", "/slices", "/objects")} == {200}, kind


CASE_CELLS: dict[str, Any] = {
    "worst": [None], "findings": [None], "rank": None, "n_slices": None, "n_objects": None,
    "n_findings": None, "case_id": "../../etc", "level": "<script>", "listed": None, "fingerprint": None,
    "group": "<b>", "score": float("nan"), "earlier_run": "../../etc",
}  # fmt: skip


def test_no_cell_of_a_list_of_cases_ends_the_page(ward: Screened) -> None:
    assert said(ward, COMMANDS["cases"]).exit_code == 0
    (path,) = (ward.output / "cases").iterdir()
    whole = pq.ParquetFile(path).read()
    schema = pa.schema([one.with_nullable(True) for one in whole.schema])
    for column, value in [*CASE_CELLS.items(), ("worst", None), ("findings", None)]:
        rows = [row | {column: value} for row in whole.to_pylist()]
        pq.write_table(pa.Table.from_pylist([*rows, *whole.to_pylist()], schema=schema), path)
        with served(ward.output, ward.private) as page:
            answer = page.get("/?every=1")
            assert answer.status == 200, (column, value)
            assert "<script>" not in answer.text


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
