"""The order, the filters and the pages of the worklist, against plain Python over the same rows."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.exports.cases import Selection, _chosen
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.charts import score_histogram
from s2sw.pipeline.review.decision_log import DecisionLog
from s2sw.pipeline.review.filters import DECIDED, ORDERS, FilterError, Filters, flag_thresholds
from s2sw.pipeline.review.ranking import BINS, Place, Worklist, bars
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.tables import Row
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, config, summarise, write_parts, write_run
from tests.support.rows import made_id, quarantined, screened

SCORES = [0.5, 0.25, 0.75, 0.5, 0.125, 0.5, 1.0, 0.0]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> LocalOutput:
    """Two runs at two sites; many equal scores, one volume, one object screened again."""
    output = LocalOutput(tmp_path_factory.mktemp("worklist") / "results")
    singles = [screened(number, score) for number, score in enumerate(SCORES)]
    write_parts(output, [*singles, quarantined(8)], FIRST, site="north")
    write_parts(output, [screened(0, 0.5, 0.875, 0.5, 0.25)], SECOND, site="south")
    later = "20260703T010000-cccccc"
    write_parts(output, [screened(0, 0.3)], later, fingerprint="e" * 32, site="south")
    flag = {"threshold": 0.75, "groups": [{"site": "south", "threshold": 0.5}]}
    write_run(output, summarise([screened(0, 0.3)], later), config(flag=flag))
    now = datetime.now(UTC)
    said = [("ada", 2, "accept"), ("bob", 2, "reject"), ("bob", 3, "accept"), ("ada", 5, "unsure")]
    append(
        output,
        [
            Decision(made_id(FIRST, n), 0, SETTINGS, DecisionKind(kind), who, now, 0.5)
            for who, n, kind in said
        ],
    )
    return output


@pytest.fixture(scope="module")
def worklist(output: LocalOutput) -> Callable[[Filters], Worklist]:
    archive, book = Archive(output), DecisionLog(output, "ada")
    book.refresh()
    table = book.table(SETTINGS)
    return lambda filters: Worklist(archive.cursor(table), filters, "ada")


def rows(output: LocalOutput) -> list[Row]:
    archive = Archive(output)
    found: list[Row] = archive.cursor().sql("FROM slices").to_arrow_table().to_pylist()
    return [row for row in found if row["fingerprint"] == SETTINGS]


def names(found: list[Row]) -> list[tuple[str, int]]:
    return [(row["object_id"], row["slice_index"]) for row in found]


def walked(worklist: Worklist, size: int, filters: Filters) -> list[list[Row]]:
    """Return all pages, following the link to the next."""
    pages = [worklist.page(size=size)]
    while pages[-1].has_next:
        pages.append(worklist.page(after=Place.of(pages[-1].rows[-1], filters), size=size))
    return [page.rows for page in pages]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_follow_the_order_and_miss_nothing(
    output: LocalOutput, worklist: Callable[[Filters], Worklist], order: str, size: int
) -> None:
    filters = Filters(settings=SETTINGS, order=order)
    column = ORDERS[order][0].replace("place", "image_score")  # these rows have no rank score
    sign = 1 if column.startswith("-") else -1
    expected = sorted(
        rows(output),
        key=lambda row: (sign * row[column.removeprefix("-")], row["object_id"], row["slice_index"]),
    )
    pages = walked(worklist(filters), size, filters)
    assert [name for page in pages for name in names(page)] == names(expected)
    for page, following in pairwise(pages):
        back = worklist(filters).page(before=Place.of(following[0], filters), size=size)
        assert names(back.rows) == names(page)
        assert back.has_next
    assert not worklist(filters).page(before=Place.of(pages[0][0], filters), size=size).rows


def test_neighbours_and_rank_agree_with_the_order(
    output: LocalOutput, worklist: Callable[[Filters], Worklist]
) -> None:
    filters = Filters(settings=SETTINGS)
    listed = worklist(filters).page().rows
    for rank, row in enumerate(listed):
        before, behind = worklist(filters).neighbours(row)
        assert before == (listed[rank - 1] if rank else None)
        assert behind == (listed[rank + 1] if rank + 1 < len(listed) else None)
        assert worklist(filters).rank(row) == rank
    assert worklist(filters).counts().total == len(listed)


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"low": "0.5"}, lambda row: row["image_score"] >= 0.5),
        ({"high": "0.5"}, lambda row: row["image_score"] <= 0.5),
        ({"low": "0.25", "high": "0.5"}, lambda row: 0.25 <= row["image_score"] <= 0.5),
        ({"site": "south"}, lambda row: row["run_id"] == SECOND),
        ({"first": "2026-07-02"}, lambda row: row["run_id"] == SECOND),
        ({"last": "2026-07-01"}, lambda row: row["run_id"] == FIRST),
        ({"first": "2026-07-01", "last": "2026-07-02"}, lambda row: True),
        ({"modality": "CT"}, lambda row: True),
        ({"modality": "MR"}, lambda row: False),
        ({"modality": "none"}, lambda row: False),
        ({"flagged": "1"}, lambda row: row["image_score"] >= (0.75 if row["run_id"] == FIRST else 0.5)),
        ({"highest": "1"}, lambda row: row["n_slices"] == 1 or row["slice_index"] == 1),
        ({"decision": "accept"}, lambda row: row["object_id"] in (made_id(FIRST, 2), made_id(FIRST, 3))),
        ({"decision": "reject"}, lambda row: row["object_id"] == made_id(FIRST, 2)),
        ({"decision": "disputed"}, lambda row: row["object_id"] == made_id(FIRST, 2)),
        ({"decision": "unsure"}, lambda row: row["object_id"] == made_id(FIRST, 5)),
        ({"decision": "none"}, lambda row: row["object_id"][-1] not in "cdf"
         or row["run_id"] == SECOND),
        ({"decision": "open"}, lambda row: row["object_id"][-1] not in "cf"
         or row["run_id"] == SECOND),
        ({"decision": "open", "low": "0.5", "site": "north"}, lambda row: row["run_id"] == FIRST
         and row["image_score"] >= 0.5 and row["object_id"][-1] not in "cf"),
    ],
)  # fmt: skip
def test_filters_keep_what_they_say(
    output: LocalOutput,
    worklist: Callable[[Filters], Worklist],
    fields: dict[str, str],
    kept: Callable[[Row], bool],
) -> None:
    filters = Filters.parse(fields | {"settings": SETTINGS})
    expected = {name for row in rows(output) if kept(row) for name in names([row])}
    found = worklist(filters).page().rows
    assert set(names(found)) == expected
    assert all(worklist(filters).rank(row) == place for place, row in enumerate(found[:2]))
    assert worklist(filters).counts().total == len(found)


def test_the_histogram_counts_all_scores_whatever_their_bounds(
    output: LocalOutput, worklist: Callable[[Filters], Worklist]
) -> None:
    counts = worklist(Filters(settings=SETTINGS, low=0.9, site="north")).counts().bins
    assert sum(counts.values()) == len(SCORES)
    assert counts[BINS // 2] == SCORES.count(0.5)
    assert counts[BINS - 1] == 1  # a score of 1 is in the last bin


@given(st.dictionaries(st.integers(0, BINS - 1), st.integers(1, 10**6), min_size=1, max_size=40))
def test_bars_have_round_widths_and_lose_no_slice(counts: dict[int, int]) -> None:
    found = bars(counts)
    assert len(found) <= 60
    assert sum(count for _, _, count in found) == sum(counts.values())
    assert found[0][0] * BINS <= min(counts) + 1e-6
    assert max(counts) < found[-1][1] * BINS + 1e-6


TEXTS = st.text(max_size=12) | st.sampled_from(
    ["0.5", "nan", "inf", "-1", "1e400", "2026-07-01", "accept", "1"]
)
FIELDS = st.dictionaries(
    st.sampled_from(
        [
            "low",
            "high",
            "first",
            "last",
            "site",
            "modality",
            "decision",
            "order",
            "highest",
            "flagged",
            "stay",
        ]
    ),
    TEXTS,
)


@given(FIELDS)
def test_any_address_is_understood_or_refused_and_keeps_its_meaning(fields: dict[str, str]) -> None:
    try:
        filters = Filters.parse(fields)
    except FilterError:  # the only error that there is
        return
    again = dict(parse_qsl(filters.query().removeprefix("?"), keep_blank_values=True))
    assert Filters.parse(again).query() == filters.query()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(site=st.text(max_size=20), modality=st.text(max_size=20), place=st.text(max_size=30))
def test_no_text_of_an_address_becomes_sql(
    worklist: Callable[[Filters], Worklist], site: str, modality: str, place: str
) -> None:
    filters = Filters(settings=SETTINGS, site=f"'{site}", modality=f'"; {modality}', decision="none")
    assert worklist(filters).page(after=Place(0.5, f"'{place}", 0)).rows == []


@given(st.floats(-1, 1, width=32), st.text(), st.integers(0, 2**31 - 1))
def test_places_survive_an_address(value: float, object_id: str, index: int) -> None:
    place = Place(value, object_id, index)
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize("text", ["", "x", "0.5,a", "0.5,a,b", "a,1,b"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="follow the links"):
        Place.parse(text)


def test_the_page_offers_what_filters_know() -> None:
    assert {kind.value for kind in DecisionKind} - {"withdrawn"} <= set(DECIDED)
    for order in ORDERS:
        assert Filters.parse({"order": order}).order == order


def test_settings_are_apart_and_the_newest_come_first(output: LocalOutput) -> None:
    archive = Archive(output)
    assert [(one.fingerprint, one.slices) for one in archive.settings] == [("e" * 32, 1), (SETTINGS, 12)]


def test_what_is_committed_meanwhile_is_seen_after_a_refresh(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, [screened(0, 0.5)], FIRST)
    archive = Archive(output)
    write_parts(output, [screened(0, 0.7), screened(1, 0.6)], SECOND)
    archive.refresh()
    book = DecisionLog(output, "ada")
    found = Worklist(archive.cursor(book.table(SETTINGS)), Filters(settings=SETTINGS), "ada")
    assert len(found.page().rows) == 3


def test_slices_without_a_rank_come_after_all_that_have_one(tmp_path: Path) -> None:
    """On the page, forwards and backwards by pages of one, and in exports."""
    output, ranks = LocalOutput(tmp_path), [None, 0.2, 0.75, None, 0.9, 0.0]
    found = screened(0, 0.99, 0.5, 0.1, 1.0, 0.3, 0.0)
    for row, rank in zip(found.slices, ranks, strict=True):
        row |= {"rank_score": rank, "group": None if rank is None else "CT"}
    write_parts(output, [found], FIRST)
    expected = [4, 2, 1, 5, 3, 0]
    archive, book = Archive(output), DecisionLog(output, "ada")
    for order, indices in (("score", expected), ("low", expected[::-1])):
        filters = Filters(settings=SETTINGS, order=order)
        listed = Worklist(archive.cursor(book.table(SETTINGS)), filters, "ada")
        pages = walked(listed, 1, filters)
        assert [row["slice_index"] for page in pages for row in page] == indices
        assert listed.rank(listed.page().rows[4]) == 4
        last = listed.page(before=Place.of(pages[-1][0], filters), size=2).rows
        assert [row["slice_index"] for row in last] == indices[3:5]
    exported = _chosen(Results(output, SETTINGS).connect(), Selection(SETTINGS, top=5))
    assert [index for _, index in exported] == expected[:5]


@pytest.mark.parametrize(
    ("fields", "thresholds"),
    [({}, [0.5, 0.75]), ({"site": "south"}, [0.5, 0.75]), ({"site": "north"}, [0.75])],
)
def test_the_thresholds_in_force_are_drawn(
    output: LocalOutput, fields: dict[str, str], thresholds: list[float]
) -> None:
    found = flag_thresholds(Archive(output).flag, Filters.parse(fields))
    assert found == thresholds
    drawn = score_histogram([(0.0, 0.5, 3), (0.5, 1.0, 1)], None, None, found)
    assert drawn.count('class="flag"') == len(thresholds)
    assert f"Flagged from {', '.join(f'{one:g}' for one in thresholds)}." in drawn
