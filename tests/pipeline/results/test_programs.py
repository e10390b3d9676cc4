"""Rows as the programs of users read them from the folders themselves: all of them, the same in each."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.results.reading import open_results
from tests.support.client_programs import answer_of
from tests.support.rows_of_programs import PROGRAMS, SCRIPT, line
from tests.support.screened import Screened, screen_archive

OURS = ("duckdb", "pandas")
OTHERS = [pytest.param(name, marks=pytest.mark.clients) for name in ("spark", "polars", "clickhouse")]


@pytest.fixture(scope="module", params=["as committed", "merged"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Screened:
    """Results of a run without a site and one of a site, in many parts or merged."""
    screened = screen_archive(tmp_path_factory.mktemp("programs"), sites=("", "south"))
    if request.param == "merged":
        done = CliRunner().invoke(
            app, ["compact", str(screened.output), "--private-dir", str(screened.private)]
        )
        assert done.exit_code == 0, done.output
    return screened


def expected(screened: Screened, table: str) -> list[str]:
    opened = open_results(str(screened.output))
    read: pa.Table = opened.slices() if table == "slices" else opened.objects()
    return sorted(line(row) for row in read.to_pylist())


def told(program: str, folder: Path) -> list[str]:
    if program in OURS:
        return sorted(line(row) for row in PROGRAMS[program](str(folder)))
    return sorted(answer_of("readers", SCRIPT, program, folder).splitlines())


@pytest.mark.parametrize("table", ["slices", "objects"])
@pytest.mark.parametrize("program", [*OURS, *OTHERS])
def test_a_program_reads_every_row_with_its_site_and_day(program: str, table: str, results: Screened) -> None:
    rows = expected(results, table)
    assert told(program, results.output / table) == rows
    assert {json.loads(row)["site"] for row in rows} == {None, b"south".hex()}
    assert len({json.loads(row)["date"] for row in rows}) == 2
