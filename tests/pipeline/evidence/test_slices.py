"""Every slice of a night has a p-value, by hand and by the command."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.evidence.slices import slice_p_values
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.tables import P_VALUES
from tests.support.finished_runs import FIRST, SECOND, SETTINGS
from tests.support.nights import night, usual
from tests.support.rows import made_id, screened


def test_each_slice_is_compared_with_all_earlier_slices(tmp_path: Path) -> None:
    past = usual(100)
    night(tmp_path, FIRST, past)
    night(tmp_path, SECOND, [screened(0, 0.1, 0.35, 0.95), screened(1, 0.2)])
    table = slice_p_values(Results(LocalOutput(tmp_path), SETTINGS), SECOND)
    assert table.schema.equals(P_VALUES)
    earlier = np.float32([row["image_score"] for one in past for row in one.slices])
    found = {(row["object_id"], row["slice_index"]): row["p_value"] for row in table.to_pylist()}
    expected = {(0, 0): 0.1, (0, 1): 0.35, (0, 2): 0.95, (1, 0): 0.2}
    assert found == {
        (made_id(SECOND, number), index): (1 + (earlier >= np.float32(score)).sum()) / 401
        for (number, index), score in expected.items()
    }
    assert found[made_id(SECOND, 0), 2] == 1 / 401


def test_a_first_night_is_compared_with_itself_and_few_have_none(tmp_path: Path) -> None:
    night(tmp_path / "first", FIRST, usual(20))
    table = slice_p_values(Results(LocalOutput(tmp_path / "first"), SETTINGS), FIRST)
    assert table["first_night"].to_pylist() == [True] * 80
    assert min(table["p_value"].to_pylist()) == 1 / 80
    night(tmp_path / "few", FIRST, usual(5))
    table = slice_p_values(Results(LocalOutput(tmp_path / "few"), SETTINGS), FIRST)
    assert table["p_value"].null_count == len(table) == 20


def test_the_command_writes_them(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    night(tmp_path, SECOND, usual(10, 1))
    done = CliRunner().invoke(app, ["worklist", str(tmp_path), "--budget", "3"])
    assert done.exit_code == 0, done.output
    slices = pq.read_table(tmp_path / "p_values" / f"{SECOND}.parquet")
    assert len(slices) == 40
    by_slice = {(row["object_id"], row["slice_index"]): row["p_value"] for row in slices.to_pylist()}
    for row in pq.read_table(tmp_path / "worklist" / f"{SECOND}.parquet").to_pylist():
        assert by_slice[row["object_id"], row["slice_index"]] == row["slice_p_value"]
