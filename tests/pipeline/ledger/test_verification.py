"""Damaged bookkeeping blocks nothing: it is named, and what it held is done again."""

import logging
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.done import deferred_objects, done_objects
from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.ledger.verification import set_aside, verify
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.results import open_results
from s2sw.schemas.config import PartSettings
from s2sw.schemas.layout import DEFERRED_FILE
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, summarise, write_parts, write_run
from tests.support.rows import made_id, quarantined, screened, stored

OBJECTS = [screened(0, 0.1, 0.2), screened(1, 0.9), quarantined(2), screened(3, 0.4)]
FIRST_PART = f"{FIRST}-00000.parquet"
HELD = made_id(FIRST, 0)  # by the first part
REST = {made_id(FIRST, number) for number in (1, 2, 3)}


@pytest.fixture
def output(tmp_path: Path) -> LocalOutput:
    output = LocalOutput(tmp_path)
    write_parts(output, OBJECTS, FIRST)
    write_run(output, summarise(OBJECTS, FIRST))
    return output


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def spoil(path: Path) -> None:
    """Keep both ends and destroy what lies between."""
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\xff" * (len(data) - 8) + data[-4:])


def done(output: LocalOutput) -> set[str]:
    return set(done_objects(output, SETTINGS, SECOND).read_all()["object_id"].to_pylist())


def test_a_sound_output_is_whole(output: LocalOutput) -> None:
    assert list(verify(output)) == []
    assert len(done(output)) == 4


@pytest.mark.parametrize("damage", [empty, cut, spoil])
@pytest.mark.parametrize("table", ["objects", "slices"])
def test_a_damaged_part_is_screened_again(
    output: LocalOutput, tmp_path: Path, table: str, damage: Callable[[Path], None]
) -> None:
    damage(tmp_path / table / FIRST_PART)
    found = list(verify(output))
    assert [one.name for one in found][:1] == [f"{table}/{FIRST_PART}"]
    if not (table == "slices" and damage is spoil):  # its ends look sound: `verify --repair` finds it
        assert done(output) == REST
    for one in found:
        set_aside(output, one)
    assert done(output) == REST
    assert (tmp_path / "set-aside" / table / FIRST_PART).exists()
    assert all(not one.set_aside for one in verify(output)), "nothing more has to go"
    constants = {"bundle": "b", "fingerprint": SETTINGS, "run_id": SECOND, "threshold": 0.5}
    writer = Writer(output, PartSettings(), constants, keep_uri=True)
    writer.add(screened(0, 0.3, 0.5), HELD, stored(0))
    writer.commit()
    rows = open_results(str(tmp_path)).slices().to_pylist()
    scores = sorted(round(row["image_score"], 4) for row in rows)
    assert scores == [0.3, 0.4, 0.5, 0.9], "of what is screened again nothing is there twice"


def test_readers_open_the_rest(output: LocalOutput, tmp_path: Path) -> None:
    cut(tmp_path / "slices" / FIRST_PART)
    results = open_results(str(tmp_path))
    assert {row["object_id"] for row in results.slices().to_pylist()} == {
        made_id(FIRST, 1),
        made_id(FIRST, 3),
    }
    done = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert f"slices/{FIRST_PART} is damaged and left out" in done.output


def test_rows_that_disagree_are_found(output: LocalOutput, tmp_path: Path) -> None:
    path = tmp_path / "slices" / FIRST_PART
    table = pq.read_table(path)
    path.write_bytes(table_bytes(table.slice(1)))
    (found,) = verify(output)
    assert (found.name, found.problem) == (
        f"slices/{FIRST_PART}",
        "1 objects lack slices, or have some twice",
    )


def test_a_mask_that_cannot_be_decoded_is_found(output: LocalOutput, tmp_path: Path) -> None:
    path = tmp_path / "slices" / FIRST_PART
    table = pq.read_table(path)
    place = table.column_names.index("mask_encoding")
    bad = table.set_column(place, table.schema.field(place), pa.array(["none"] * len(table)))
    path.write_bytes(table_bytes(bad))
    (found,) = verify(output)
    assert "mask of slice 0" in found.problem
    assert list(verify(output, masks=False)) == []


@pytest.mark.parametrize("content", [b"", b"PAR1cutPAR1", b"\xff" * 40])
def test_what_costs_nothing_is_mended_with_a_word(
    output: LocalOutput, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "s2sw")
    output.write(DEFERRED_FILE, content)
    output.write("runs/lease-000003", content)
    assert len(deferred_objects(output).read_all()) == 0
    with Lease(output, SECOND):
        assert "runs/lease-000004" in output.names("runs")
    assert f"{DEFERRED_FILE} is damaged" in caplog.text
    assert "runs/lease-000003 is damaged" in caplog.text


def test_the_command_repairs_and_says_what_is_lost(output: LocalOutput, tmp_path: Path) -> None:
    empty(tmp_path / "objects" / FIRST_PART)
    output.write(DEFERRED_FILE, b"")
    runner = CliRunner()
    found = runner.invoke(app, ["verify", str(tmp_path)])
    assert found.exit_code == 1
    assert (
        f"objects/{FIRST_PART}: no whole Parquet file; lost: its objects are screened again" in found.output
    )
    assert "--repair" in found.output
    repaired = runner.invoke(app, ["verify", str(tmp_path), "--repair"])
    assert repaired.exit_code == 0, repaired.output
    assert not committed(output).damaged
    whole = runner.invoke(app, ["verify", str(tmp_path)])
    assert (whole.exit_code, "all is whole" in whole.output) == (0, True)
