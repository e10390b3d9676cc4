"""Which slices are flagged: by the thresholds of the newest run, of their site and modality."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.ledger.run_records import ReportError
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.config import run_fingerprint
from tests.support.finished_runs import FIRST, SECOND, config, summarise, write_parts, write_run
from tests.support.rows import screened

SCORES = [screened(0, 0.1, 0.5), screened(1, 0.6, 0.9)]  # of modality CT


def results(folder: Path, flag: dict[str, Any] | None, **parts: Any) -> Path:
    """Write a run with these thresholds in its configuration."""
    output = LocalOutput(folder)
    write_parts(output, SCORES, FIRST, **parts)
    write_run(output, summarise(SCORES, FIRST), config(flag=flag or {}))
    return folder


def flagged(folder: Path) -> list[tuple[float, float]]:
    rows = open_results(str(folder)).sql("FROM flagged ORDER BY image_score").to_arrow_table().to_pylist()
    return [(round(row["image_score"], 4), round(row["flag_threshold"], 4)) for row in rows]


def test_without_a_threshold_nothing_is_flagged(tmp_path: Path) -> None:
    assert flagged(results(tmp_path, None)) == []


def test_a_slice_at_the_threshold_is_flagged(tmp_path: Path) -> None:
    assert flagged(results(tmp_path, {"threshold": 0.5})) == [(0.5, 0.5), (0.6, 0.5), (0.9, 0.5)]


@pytest.mark.parametrize(
    ("group", "counts"),
    [
        ({"modality": "CT"}, 1),
        ({"modality": "MR"}, 3),
        ({"site": "north"}, 1),
        ({"site": "south"}, 3),
        ({"site": "north", "modality": "CT"}, 1),
        ({"site": "north", "modality": "MR"}, 3),
    ],
)
def test_a_group_has_its_own(tmp_path: Path, group: dict[str, str], counts: int) -> None:
    flag = {"threshold": 0.5, "groups": [{**group, "threshold": 0.8}]}
    assert len(flagged(results(tmp_path, flag, site="north"))) == counts


def test_an_output_without_sites_has_none_that_fit(tmp_path: Path) -> None:
    flag = {"groups": [{"site": "north", "threshold": 0.0}, {"threshold": 0.9}]}
    assert flagged(results(tmp_path, flag)) == [(0.9, 0.9)]


def test_the_newest_run_decides_even_with_nothing_left_to_do(tmp_path: Path) -> None:
    folder = results(tmp_path, {"threshold": 0.5})
    write_run(LocalOutput(folder), summarise([], SECOND), config(flag={"threshold": 0.7}))
    assert flagged(folder) == [(0.9, 0.7)]


def test_thresholds_are_no_part_of_the_fingerprint() -> None:
    plain, flagging = config(), config(flag={"threshold": 0.5})
    assert run_fingerprint(plain, "b", "fp32") == run_fingerprint(flagging, "b", "fp32")


def test_a_damaged_run_file_is_said_rather_than_taken_for_no_threshold(tmp_path: Path) -> None:
    folder = results(tmp_path, {"threshold": 0.5})
    (folder / f"runs/{SECOND}.json").write_text("{}")
    with pytest.raises(ReportError, match="not the file of a run"):
        flagged(folder)


def test_the_report_counts_them(tmp_path: Path) -> None:
    folder, page = results(tmp_path / "results", {"threshold": 0.5}), tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(folder), "--html", str(page)])
    line = "Flagged for review: 3 of 4 slices, by the thresholds of this run"
    assert line in done.stdout
    assert line in page.read_text()
    assert "Flagged" not in CliRunner().invoke(app, ["report", str(results(tmp_path / "x", None))]).stdout


def test_a_rank_score_counts_where_there_is_one(tmp_path: Path) -> None:
    ranked = screened(0, 0.1, 0.9)
    for row, rank in zip(ranked.slices, (0.8, 0.2), strict=True):
        row |= {"group": "CT/-/frame", "rarity_score": 1.5, "rank_score": rank}
    output, outcomes = LocalOutput(tmp_path), [ranked, screened(1, 0.6)]
    write_parts(output, outcomes, FIRST)
    write_run(output, summarise(outcomes, FIRST), config(flag={"threshold": 0.5}))
    assert flagged(tmp_path) == [(0.1, 0.5), (0.6, 0.5)]
    rows = open_results(str(tmp_path)).sql("FROM objects ORDER BY max_score").to_arrow_table().to_pylist()
    found = [(row["max_slice"], row["max_rank_slice"], row["max_rank_score"]) for row in rows]
    assert found == [(0, None, None), (1, 0, pytest.approx(0.8))]


def test_results_of_before_there_were_profiles_are_read(tmp_path: Path) -> None:
    folder = results(tmp_path, {"threshold": 0.5})
    new = {"group", "rarity_score", "rank_score", "max_rank_score", "max_rank_slice"}
    for path in (*folder.glob("slices/*.parquet"), *folder.glob("objects/*.parquet")):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns([name for name in table.column_names if name in new]), path)
    assert flagged(folder) == [(0.5, 0.5), (0.6, 0.5), (0.9, 0.5)]
    opened = open_results(str(folder))
    assert {row["group"] for row in opened.slices().to_pylist()} == {None}
    write_parts(LocalOutput(folder), [screened(2, 0.7)], SECOND)
    assert opened.sql("SELECT count(*), count(rank_score) FROM slices").fetchall() == [(5, 0)]
