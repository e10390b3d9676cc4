"""The page: whole, self-contained, escaped, plain about what a reader must not miss."""

import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.pipeline.ledger.summary import versions
from s2sw.pipeline.reports.figures import RunReport
from s2sw.pipeline.reports.html import report_page
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.run_record import parse_record, record_bytes
from tests.support.finished_runs import BUNDLE, SECOND, config, summarise
from tests.support.rows import quarantined, screened

OBJECTS = [screened(0, 0.25, 0.5), screened(1, 0.75), quarantined(2), quarantined(3, Reason.BOMB)]
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that elements close in order, and keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report_of(mode: str = "private", **values: object) -> RunReport:
    summary = summarise(OBJECTS, **values)
    report = RunReport(parse_record(record_bytes(summary, config(mode=mode), versions())))
    for figures in (report.own, report.same_settings):
        figures.scores.add(np.array([0.25, 0.5, 0.75], np.float32))
        figures.reasons.update(["truncated", "bomb"])
    report.same_settings.scores.add(np.array([0.9], np.float32))
    return report


def page_of(mode: str = "private", **values: object) -> Page:
    return Page(report_page(report_of(mode, **values)))


def test_the_page_holds_what_was_asked_for() -> None:
    page = page_of()
    for expected in (
        "this run 3 0.5000 0.7500 0.7500 0.7500",
        "all under the same settings 4 0.5000 0.9000 0.9000 0.9000",
        "truncated 1 1",
        "the whole run 100.0 3 slices 0.0",
        "detect, one process",
        "torch",
        "decode.limits.object_bytes 2147483648",
        "Slices per second",
    ):
        assert expected in page.text
    assert {"svg", "table", "caption", "title", "desc"} <= page.tags


def test_nothing_is_fetched_and_nothing_runs() -> None:
    text = report_page(report_of("open"))
    page = Page(text)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base"})
    names = {name for name, _ in page.attributes}
    assert names.isdisjoint({"src", "href", "srcset", "xlink:href"})
    assert not any(name.startswith("on") for name in names)
    assert not re.search(r"url\(|@import|https?:", text)


def test_ids_are_unique_and_point_to_something() -> None:
    page = page_of()
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) == 6  # title and text of three charts
    references = [str(value) for name, value in page.attributes if name == "aria-labelledby"]
    wanted = {part for value in references for part in value.split()}
    assert wanted == set(ids)


def test_a_private_page_has_no_address_and_an_open_one_has() -> None:
    assert "st-elsewhere" not in report_page(report_of("private", bundle=BUNDLE))
    assert "/st-elsewhere/archive" in report_page(report_of("open"))


def test_an_untrained_detector_is_said_so() -> None:
    untrained = BUNDLE | {"trained": False, "prompts": "fixed seed"}
    assert "The detector is untrained: its scores show" in page_of(bundle=untrained).text
    page = page_of()
    assert "untrained" not in page.text
    assert "Detector: s2swclip, prompts: mvtec.pth" in page.text


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"missing": 3}, "NOT accounted for: 3 objects missing"),
        ({"outcome": "failed", "by_status": {}}, "before it compared"),
        ({"outcome": "interrupted", "interrupted": True}, "stopped early"),
        ({"max_quarantined": 0.1}, "More than 10.0% of the listed"),
        ({"by_status": {"deferred": 1200}}, "1,200 objects are left"),
    ],
)
def test_what_went_wrong_stands_at_the_top(values: dict[str, object], note: str) -> None:
    page = page_of(**values)
    assert note in page.text.split("What became of the objects")[0]


def test_a_killed_run_is_named() -> None:
    report = report_of()
    report.unfinished = [SECOND]
    assert f"killed, or still at work): {SECOND}." in Page(report_page(report)).text


def test_a_run_without_anything_has_a_page() -> None:
    summary = summarise([], timeline=[], seconds={}, stage_seconds={})
    record = parse_record(record_bytes(summary, config(), versions()))
    page = Page(report_page(RunReport(record)))
    for text in ("No slice was scored", "Nothing is quarantined", "Nothing was left to do"):
        assert text in page.text
    assert "svg" not in page.tags


harmless = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=12)
hostile = harmless.map("<script>&\"'".__add__)


@given(hostile, hostile, hostile)
def test_everything_from_data_is_escaped(prompts: str, run_id: str, reason: str) -> None:
    report = report_of("open", bundle=BUNDLE | {"prompts": prompts}, run_id=run_id)
    report.same_settings.reasons[reason] += 1
    report.run.config[run_id] = report.run.versions[prompts] = reason
    text = report_page(report)
    page = Page(text)
    assert "script" not in page.tags
    for value in (prompts, run_id, reason):
        assert value in html.unescape(text)
