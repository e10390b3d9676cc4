"""What merged parts are good for: readers skip row groups, and no part lies in a folder any more."""

import itertools
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.ledger import merging
from tests.pipeline.ledger.test_merging import fill, merge_all


def test_readers_can_skip_row_groups_by_day_and_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statistics of groups of one day do not overlap, so that of the highest scores one group is read."""
    monkeypatch.setattr(merging, "ROW_GROUP", 2)
    fill(LocalOutput(tmp_path))
    merge_all(LocalOutput(tmp_path))
    compared = 0
    for path in (tmp_path / "slices").iterdir():
        file = pq.ParquetFile(path).metadata
        groups = [_statistics(file.row_group(number)) for number in range(file.num_row_groups)]
        for first, second in itertools.pairwise(groups):
            assert first["date"].max <= second["date"].min
            if first["date"].min == second["date"].max:
                assert first["image_score"].min >= second["image_score"].max
                compared += 1
    assert compared > 2


def _statistics(group: Any) -> dict[str, Any]:
    columns = (group.column(number) for number in range(group.num_columns))
    return {column.path_in_schema: column.statistics for column in columns}


def test_parts_in_folders_are_pointed_out_until_they_are_rewritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = LocalOutput(tmp_path)
    fill(output)
    told = r"4 parts lie in folders of an earlier version.*`s2sw compact` puts all into one layout"
    assert re.search(told, CliRunner().invoke(app, ["verify", str(tmp_path)]).output)
    merging.warn_of_old_parts(output)  # as a run does
    assert re.search(told, caplog.text)
    assert CliRunner().invoke(app, ["compact", str(tmp_path)]).exit_code == 0
    assert "earlier version" not in CliRunner().invoke(app, ["verify", str(tmp_path)]).output
    assert not [path for path in (tmp_path / "objects").iterdir() if path.is_dir()]
