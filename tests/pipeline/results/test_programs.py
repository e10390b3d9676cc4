"""Rows as the programs of users read them from the folders themselves: all of them, the same in each."""

import json

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


FOLDERS = [(kind, table) for kind in ("as committed", "merged") for table in ("slices", "objects")]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Screened]:
    """Results of a run without a site and one of a site, in many parts and merged."""
    made = {
        kind: screen_archive(tmp_path_factory.mktemp("programs"), sites=("", "south"))
        for kind, _ in FOLDERS[::2]
    }
    merged = made["merged"]
    done = CliRunner().invoke(app, ["compact", str(merged.output), "--private-dir", str(merged.private)])
    assert done.exit_code == 0, done.output
    return made


@pytest.fixture(scope="module", params=[*OURS, *OTHERS])
def told(request: pytest.FixtureRequest, results: dict[str, Screened]) -> list[list[str]]:
    """What a program says of each of FOLDERS; it starts once for all of them."""
    folders = [results[kind].output / table for kind, table in FOLDERS]
    if request.param in OURS:
        return [sorted(line(row) for row in PROGRAMS[request.param](str(folder))) for folder in folders]
    found: list[list[str]] = [[] for _ in folders]
    for said in answer_of("readers", SCRIPT, request.param, *folders).splitlines():
        number, _, row = said.partition(" ")
        found[int(number)].append(row)
    return [sorted(rows) for rows in found]


def expected(screened: Screened, table: str) -> list[str]:
    opened = open_results(str(screened.output))
    read: pa.Table = opened.slices() if table == "slices" else opened.objects()
    return sorted(line(row) for row in read.to_pylist())


@pytest.mark.parametrize(("kind", "table"), FOLDERS)
def test_a_program_reads_every_row_with_its_site_and_day(
    kind: str, table: str, results: dict[str, Screened], told: list[list[str]]
) -> None:
    rows = expected(results[kind], table)
    assert told[FOLDERS.index((kind, table))] == rows
    assert {json.loads(row)["site"] for row in rows} == {None, b"south".hex()}
    assert len({json.loads(row)["date"] for row in rows}) == 2
