"""The queries of docs/results.md, run over results and compared with counting by hand."""

import re
import shutil
import statistics
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.results.reading import Results, open_results
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.tables import Row
from tests.support.finished_runs import SETTINGS, config, summarise, write_run
from tests.support.screened import screen_archive

DOCS = Path(__file__).parents[3] / "docs/results.md"
ACCEPTED, REJECTED = 3, 9
"""How many of the highest scores one reviewer accepts, and how many of the next rejects."""

FLAGGED = 0.4


def query(question: str) -> str:
    """Return the SQL below a question of the page."""
    found = re.search(
        rf"^{re.escape(question)}.*?```sql\n(.*?)```", DOCS.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found, question
    return found.group(1)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results of two sites and days with thresholds and decisions."""
    folder = tmp_path_factory.mktemp("sql")
    screened = screen_archive(folder)
    shutil.rmtree(screened.archive)  # no question needs a source
    output = LocalOutput(screened.output)
    write_run(output, summarise([], "20260703T010000-cccccc"), config(flag={"threshold": FLAGGED}))
    ranked = sorted(slices(open_results(str(screened.output))), key=lambda row: -row["image_score"])
    for place, row in enumerate(ranked[: ACCEPTED + REJECTED]):
        kind = DecisionKind.ACCEPT if place < ACCEPTED else DecisionKind.REJECT
        when = datetime(2026, 7, 4, tzinfo=UTC)
        append(output, [Decision(row["object_id"], row["slice_index"], SETTINGS, kind, "ada", when, 0.5)])
    return open_results(str(screened.output))


def slices(results: Results) -> list[Row]:
    rows: list[Row] = results.slices().to_pylist()
    return rows


def answer(results: Results, question: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = results.sql(query(question)).to_arrow_table().to_pylist()
    return rows


def test_every_query_of_the_page_is_tested_here() -> None:
    asked = set(re.findall(r'answer\(\s*results, "([^"]+)"', Path(__file__).read_text()))
    queries = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(asked) == len(queries)
    assert {query(question) for question in asked} == set(queries)


def test_the_highest_scores_of_each_site_and_modality(results: Results) -> None:
    rows = answer(results, "The 100 highest scores of each site and modality")
    counts = Counter((row["site"], row["modality"]) for row in slices(results))
    assert Counter((row["site"], row["modality"]) for row in rows) == counts  # fewer than 100 each
    assert len(counts) > 2
    for group in counts:
        own = [row["image_score"] for row in rows if (row["site"], row["modality"]) == group]
        assert own == sorted(own, reverse=True)
    cut = query("The 100 highest scores of each site and modality").replace("<= 100", "<= 2")
    assert len(results.sql(cut).fetchall()) == sum(min(2, count) for count in counts.values())


def test_the_share_above_a_score_day_by_day(results: Results) -> None:
    rows = answer(results, "The share of slices above a score, day by day")
    days = defaultdict(list)
    for row in slices(results):
        days[row["date"]].append(row["image_score"] >= 0.6)
    assert [(r["date"], r["slices"], pytest.approx(r["share"])) for r in rows] == [
        (day, len(above), statistics.fmean(above)) for day, above in sorted(days.items())
    ]
    assert len(days) == 2
    assert any(0 < row["share"] < 1 for row in rows)


def test_days_are_those_on_which_runs_started(results: Results) -> None:
    expression = "strptime(left(run_id, 8), '%Y%m%d')::DATE"
    assert results.sql(f"SELECT count(*) FROM slices WHERE date <> {expression}").fetchall() == [(0,)]


def test_how_large_the_masks_are(results: Results) -> None:
    rows = answer(results, "How large the masks are, in pixels, by modality")
    areas = defaultdict(list)
    for row in slices(results):
        areas[row["modality"]].append(row["area_fraction"] * row["rows"] * row["cols"])
    assert [row["modality"] for row in rows] == sorted(areas)
    for row in rows:
        own = areas[row["modality"]]
        assert row["slices"] == len(own)
        assert row["with_mask"] == sum(area > 0 for area in own) > 0
        assert row["median_area"] == pytest.approx(statistics.median(own), rel=1e-4)
        assert row["largest_area"] == pytest.approx(max(own), rel=1e-4)


def test_everything_quarantined_by_reason(results: Results) -> None:
    rows = answer(results, "Everything quarantined, by reason")
    broken = [row for row in results.objects().to_pylist() if row["status"] == "quarantined"]
    assert Counter({row["reason"]: row["objects"] for row in rows}) == Counter(
        row["reason"] for row in broken
    )
    assert sorted(one for row in rows for one in row["ids"]) == sorted(row["object_id"] for row in broken)
    assert sum(row["bytes"] for row in rows) == sum(row["bytes"] for row in broken)
    assert len(rows) == 3


def test_volumes_by_their_highest_slice(results: Results) -> None:
    (row,) = answer(results, "Volumes by their highest slice, with how many of their slices come near it")
    own = [s["image_score"] for s in slices(results) if s["object_id"] == row["object_id"]]
    assert len(own) == row["n_slices"] == 18
    assert row["max_score"] == max(own) == own[row["max_slice"]]
    assert row["near"] == sum(score >= 0.9 * max(own) for score in own)


def test_what_reviewers_said_by_score(results: Results) -> None:
    rows = answer(results, "What reviewers said, by score")
    assert sum(row["accepted"] for row in rows) == ACCEPTED
    assert sum(row["rejected"] for row in rows) == REJECTED
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert rows[0]["accepted"] > 0


def test_what_is_flagged_and_not_yet_decided(results: Results) -> None:
    rows = answer(results, "What is flagged and not yet decided")
    scores = sorted((row["image_score"] for row in slices(results)), reverse=True)
    flagged = [score for score in scores if score >= FLAGGED]
    assert [row["image_score"] for row in rows] == flagged[ACCEPTED + REJECTED :]
    assert len(flagged) > ACCEPTED + REJECTED
