"""The first view: cases, why each is there, how much is done, and the way through them."""

import re
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.evidence.cases import case_worklist
from s2sw.pipeline.evidence.worklist import write
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.review import cases as case_lists
from s2sw.pipeline.review.media import Switches
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.layout import CASES_FOLDER
from s2sw.schemas.tables import Row
from tests.pipeline.review.serving import Client, served
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, config, summarise, write_run
from tests.support.nights import PATIENT, SERIES, STUDY, in_series, night, usual, with_masks
from tests.support.rows import made_id, screened

BUDGET = 3


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A night beside an earlier one: a study of a known patient, and lesser cases; three are listed."""
    before = [with_masks(one, [0, 0, 0, 0]) for one in usual(120)]
    before[0] = replace(with_masks(screened(0, 0.3, 0.1), [0, 0]), uids=(b"e" * 26,), case=PATIENT)
    night(tmp_path, FIRST, before)
    after = [in_series(n, 3.0 * n, 0.9 + 0.01 * (n == 1), 0.25 * (n < 2)) for n in range(4)]
    after = [replace(one, case=PATIENT) for one in after]
    after += [with_masks(screened(4 + n, 0.8 - n / 50, 0.1, 0.1, 0.1), [0.25, 0, 0, 0]) for n in range(6)]
    night(tmp_path, SECOND, after)
    written(tmp_path, BUDGET)
    return tmp_path


def written(folder: Path, budget: int) -> None:
    output = LocalOutput(folder)
    made = case_worklist(Results(output, SETTINGS), SECOND, FlagSettings(budget=budget))
    write(output, made, CASES_FOLDER)


def over(folder: Path) -> AbstractContextManager[Client]:
    return served(folder, folder / "private", switches=Switches(pictures=False))


def listed(text: str) -> list[str]:
    """Return the addresses of the cases of a page."""
    return [one.replace("&amp;", "&") for one in re.findall(r'class="card case" href="([^"]+)"', text)]


def test_the_first_view_lists_cases_with_the_reasons(results: Path) -> None:
    with over(results) as page:
        text = page.get("/").text
        assert len(listed(text)) == BUDGET
        assert "0</strong> of <strong>3</strong> cases on the list are decided" in text
        assert "about 1 in 120 of 119 earlier ones is as strange (CT/axial)" in text
        assert f"case={STUDY}" in listed(text)[0]
        assert "earlier 0.3000, +0.6100" in text
        assert "the largest in 2 slices, 4.5 mm³" in text  # 12 pixels of 0.5 x 0.25 mm, 3 mm apart
        everyone = page.get("/?every=1").text
        assert len(listed(everyone)) == 7
        assert f'href="{page.root}/slices' in everyone


def test_a_case_says_why_and_shows_what_was_before(results: Path) -> None:
    with over(results) as page:
        first = listed(page.get("/").text)[0]
        text = page.get(first).text
        for words in ("Why it is here", "state</dt><dd>0.9100", "<dt>p</dt>", "<dt>q</dt>", "1 finding</h2>"):
            assert words in text, words
        assert "Score 0.3000 in run 20260701, now 0.9100 (+0.6100)." in text
        assert f"/slice/{made_id(FIRST, 0)}/0" in text  # the prior, its highest slice
        assert "case 1 of 7; 0 of 3 on the list are decided" in text
        assert f"/slice/{made_id(SECOND, 0)}/0" in text  # the first slice of the finding
        speck = page.get(listed(page.get("/").text)[1]).text
        assert "one slice alone: counts half" in speck


def prior(page: Client, place: int) -> str:
    """Return the object and slice of the earlier study that is shown beside a file of the series."""
    text = page.get(f"/slice/{made_id(SECOND, place)}/0?settings={SETTINGS}&case={STUDY}").text
    found = re.search(r'class="prior" href="[^"]*/slice/([^"?]+)', text)
    assert found
    return found[1]


def test_beside_a_series_the_earlier_volume_is_shown_at_the_same_share(results: Path) -> None:
    with over(results) as page:
        assert [prior(page, place) for place in (0, 3)] == [f"{made_id(FIRST, 0)}/{at}" for at in (0, 1)]


def test_beside_a_series_an_earlier_series_is_shown_at_the_same_share(tmp_path: Path) -> None:
    before = [with_masks(one, [0, 0, 0, 0]) for one in usual(120)]
    for number, height in enumerate((9.0, 3.0, 6.0)):  # named in another order than they lie
        own = in_series(number, height, 0.3 + 0.01 * (number == 1), 0)
        before[number] = replace(own, uids=(b"e" * 26, b"q" * 26), case=PATIENT)
    night(tmp_path, FIRST, before)
    after = [in_series(n, 3.0 * n, 0.9 + 0.01 * (n == 1), 0.25) for n in range(5)]
    night(tmp_path, SECOND, [replace(one, case=PATIENT) for one in after])
    written(tmp_path, BUDGET)
    with over(tmp_path) as page:
        assert [prior(page, place) for place in (0, 2, 4)] == [f"{made_id(FIRST, at)}/0" for at in (1, 2, 0)]


def test_the_way_goes_from_case_to_case(results: Path) -> None:
    with over(results) as page:
        first, second, third = listed(page.get("/").text)
        found = re.search(r'href="([^"]+)" rel="next"', page.get(first).text)
        assert found
        assert found[1].replace("&amp;", "&") == second
        assert 'rel="next"' not in page.get(third).text  # what is not listed is not on the way
        object_id, query = made_id(SECOND, 1), f"?settings={SETTINGS}&case={STUDY}"
        answer = page.decide(object_id, "accept", query=query, advance="1")
        assert answer.headers["Location"] == second
        text = page.get("/").text
        assert "1</strong> of <strong>3</strong> cases on the list are decided" in text
        assert text.count("✓ anomaly") == 1
        assert len(listed(page.get("/?decision=open").text)) == 2


def test_cases_that_are_patients_or_series_are_decided_as_such(results: Path) -> None:
    """The list says what its cases are, whether a command made it or the page, as the configuration says."""
    output = LocalOutput(results)
    with over(results) as page:
        page.decide(made_id(SECOND, 1), "accept", query=f"?settings={SETTINGS}")
        for by, own in (("patient", PATIENT), ("series", SERIES), ("study", STUDY)):
            done = CliRunner().invoke(app, ["worklist", str(results), "--by", by, "--budget", str(BUDGET)])
            assert done.exit_code == 0, done.output
            text = page.get("/").text
            assert "1</strong> of <strong>3</strong> cases on the list are decided" in text
            assert f"case={own}" in listed(text)[0]
            assert f"/slice/{made_id(FIRST, 0)}/0" in page.get(listed(text)[0]).text  # what was before
    (results / "cases" / f"{SECOND}.parquet").unlink()
    write_run(output, summarise([], SECOND), config(flag={"cases": "patient", "budget": BUDGET}))
    with over(results) as page:
        text = page.get("/").text
        assert f"case={PATIENT}" in listed(text)[0]
        assert "1</strong> of <strong>3</strong> cases on the list are decided" in text


def test_what_another_reviewer_decided_is_still_open_to_me(results: Path) -> None:
    with served(results, results / "private", "eve", Switches(pictures=False)) as eve:
        eve.decide(made_id(SECOND, 1), "reject", query=f"?settings={SETTINGS}")
    with over(results) as page:
        assert len(listed(page.get("/?decision=open").text)) == 3
        assert len(listed(page.get("/?decision=none").text)) == 2


def test_pages_of_cases_hold_each_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case_lists, "PAGE", 3)
    with over(results) as page:
        text, seen = page.get("/?every=1").text, []
        while True:
            seen += re.findall(r"case=(\w{26})", " ".join(listed(text)))
            following = re.search(r'href="([^"]+)" rel="next"', text)
            if following is None:
                break
            text = page.get(following[1].replace("&amp;", "&")).text
        assert len(seen) == len(set(seen)) == 7
        back = re.search(r'href="([^"]+)" rel="prev"', text)
        assert back
        before = " ".join(listed(page.get(back[1].replace("&amp;", "&")).text))
        assert re.findall(r"case=(\w{26})", before) == seen[3:6]


def test_a_list_that_is_missing_is_made(results: Path) -> None:
    (results / "cases" / f"{SECOND}.parquet").unlink()
    with over(results) as page:
        assert page.get("/").status == 200
        assert (results / "cases" / f"{SECOND}.parquet").exists()


def test_of_many_slices_a_command_makes_it(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (results / "cases" / f"{SECOND}.parquet").unlink()
    monkeypatch.setattr(case_lists, "MADE_AT_ONCE", 100)
    with over(results) as page:
        assert "s2sw worklist RESULTS --by case" in page.get("/").text
        assert not (results / "cases" / f"{SECOND}.parquet").exists()
        assert page.get(f"/slice/{made_id(SECOND, 1)}/0?case={STUDY}").status == 200  # without the case


def test_nothing_listed_shows_the_night(results: Path) -> None:
    output = LocalOutput(results)
    write(output, case_worklist(Results(output, SETTINGS), SECOND, FlagSettings(fdr=1e-6)), CASES_FOLDER)
    with over(results) as page:
        text = page.get("/").text
        assert "all cases of the night are shown" in text
        assert len(listed(text)) == 7


def hostile(row: Row) -> list[Row]:
    """Return rows that no list of ours holds."""
    worst = {**row["worst"][0], "object_id": "../../etc/passwd"}
    return [
        {**row, "case_id": '"><script>alert(1)</script>'},
        {**row, "worst": [worst]},
        {**row, "worst": []},
        {**row, "p_value": 7.0},
        {**row, "level": "<b>"},
        {**row, "earlier_run": "../x"},
        {**row, "findings": [{**row["findings"][0], "last_object": "x", "weight": float("nan")}]},
    ]


def test_rows_that_no_list_of_ours_holds_are_left_out(results: Path) -> None:
    path = results / "cases" / f"{SECOND}.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    bad = hostile(rows[0])
    for rank, row in enumerate(bad, start=1):
        row["rank"] = rank
    pq.write_table(type(table).from_pylist([*bad, *rows[len(bad) :]], table.schema), path)
    with over(results) as page:
        text = page.get("/?every=1").text
        assert f"{len(bad)} rows are left out" in text
        assert "<script>alert" not in text
        assert "etc/passwd" not in text


def test_what_is_asked_for_wrongly_is_said(page: Client) -> None:
    for path, words in (("/?after=x", "follow the links"), ("/?case=x", "the id of a case is expected")):
        answer = page.get(path)
        assert (answer.status, words in answer.text) == (400, True), path
