"""The page in a real browser: every step of a review, by mouse and by keyboard alone.

With S2SW_SCREENSHOTS=FOLDER the pictures of docs/review.md are made anew.
"""

import os
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.flagging.decisions import decisions
from s2sw.pipeline.review.media import Switches
from tests.pipeline.review.profiled import name_similar
from tests.pipeline.review.serving import Client, served
from tests.support.screened import HOSTILE, VOLUME_SLICES, Screened
from tests.support.series import SLICES as SERIES_SLICES
from tests.support.series import series_name

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, expect

from tests.pipeline.review.browser import CHROMIUM, Watched, watched
from tests.pipeline.review.case_lists import write_cases

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

expect.set_options(timeout=30_000)  # a busy machine's, as that of every other step

WIDE = {"width": 1280, "height": 860}
NARROW = {"width": 360, "height": 740}
SCREENSHOTS = os.environ.get("S2SW_SCREENSHOTS")


def decided(screened: Screened) -> dict[tuple[str, int], str]:
    rows = decisions(LocalOutput(screened.output)).to_pylist()
    return {(row["object_id"], row["slice_index"]): row["decision"] for row in rows}


def picture(watch: Watched, name: str) -> None:
    """Save what the browser shows for the documentation, if asked to."""
    if SCREENSHOTS:
        shown = Image.open(BytesIO(watch.page.screenshot(caret="initial")))
        shown.save(Path(SCREENSHOTS) / f"review-{name}.webp", quality=80, method=6)


def test_a_review_from_the_list_to_a_decision_that_stays(
    browser: Browser, open_page: Client, lake: Screened
) -> None:
    with watched(browser, open_page, viewport=WIDE, color_scheme="dark") as watch:
        page = watch.page
        page.context.clear_cookies()
        page.goto(open_page.entry)
        assert page.url == f"{open_page.address}/"
        page.get_by_role("link", name="Slices", exact=True).click()
        page.wait_for_url("**/slices*")
        expect(page.locator("a.card")).to_have_count(48)
        page.select_option("#highest", "1")
        expect(page.locator("a.card")).to_have_count(34)
        for place in range(14):
            page.locator(".card img").nth(place).evaluate("image => image.decode()")
        picture(watch, "worklist")
        page.fill("#low", "0.3")
        page.locator("#low").press("Enter")
        expect(page.locator("a.card")).not_to_have_count(34)
        assert "low=0.3" in page.url

        page.locator("a.card").first.click()
        watch.follow("**/slice/**")
        object_id, index = page.url.split("/slice/")[1].split("?")[0].split("/")
        at_half = watch.inside()
        assert at_half > 0
        page.fill("#threshold", "0.7")
        assert 0 < watch.inside() < at_half
        assert watch.painted() == watch.inside()

        page.fill("#note", "<b>white</b> spot")
        page.uncheck("[name=advance]")
        page.click("button.accept")
        expect(page.locator(".said .badge.accept")).to_be_visible()
        assert decided(lake) == {(object_id, int(index)): "accept"}
        (row,) = decisions(LocalOutput(lake.output)).to_pylist()
        assert (row["note"], round(row["threshold"], 3)) == ("<b>white</b> spot", 0.7)
        page.click(".last button")
        expect(page.locator(".said")).to_have_count(0)
        assert decided(lake) == {}
        page.click("button.unsure")
        expect(page.locator(".said .badge.unsure")).to_be_visible()
        page.reload()
        watch.settle()
        expect(page.locator(".said .badge.unsure")).to_be_visible()
        expect(page.locator("button.unsure")).to_have_attribute("aria-pressed", "true")
        page.get_by_role("link", name="← Slices").click()
        expect(page.locator("a.card .badge.unsure")).to_be_visible()
        page.go_back()
        expect(page.locator(".said .badge.unsure")).to_be_visible()


def test_a_morning_from_the_list_of_cases_to_the_last(browser: Browser, series: Screened) -> None:
    """By keyboard: open a case, walk its volume, decide, and be led to the next."""
    usual = [series.ids[series_name(place)] for place in (0, 11, 1, 10)]
    name_similar(series, [(one, 0) for one in usual])
    write_cases(series)
    with served(series.output, series.private) as page, watched(browser, page, viewport=WIDE) as watch:
        watch.page.emulate_media(color_scheme="dark")
        watch.open("/")
        expect(watch.page.locator("a.card.case")).to_have_count(2)
        for place in range(2):
            watch.page.locator(".card img").nth(place).evaluate("image => image.decode()")
        assert watch.unnamed() == []
        picture(watch, "cases")
        watch.press("j", "Enter")
        watch.follow("**/slice/**case=*")
        expect(watch.page.locator(".case-facts")).to_contain_text("Why it is here")
        expect(watch.page.locator("#slice-index")).to_have_attribute("max", str(SERIES_SLICES))
        beside = watch.page.locator(".similar img")
        expect(beside).to_have_count(len(usual))
        for place in range(len(usual)):
            beside.nth(place).evaluate("image => { image.loading = 'eager'; return image.decode(); }")
        picture(watch, "case")
        at = watch.page.locator("#slice-index").input_value()
        watch.press(",")
        expect(watch.page.locator("#slice-index")).to_have_value(str(int(at) - 1))
        expect(watch.page.locator(".case-facts")).to_be_visible()  # it stays while one walks
        watch.settle()
        for scheme in ("dark", "light"):
            watch.page.emulate_media(color_scheme=scheme)
            assert watch.faint_texts() == [], scheme
        expect(watch.page.locator(".case-facts")).to_be_visible()
        first = watch.page.locator("#viewer").get_attribute("data-map") or ""
        watch.press("a")
        expect(watch.page.locator("#viewer")).not_to_have_attribute("data-map", first)
        watch.settle()
        watch.press("g")
        watch.page.wait_for_url(f"{page.address}/?*")
        expect(watch.page.locator("a.card.case .badge.accept")).to_have_count(1)
        expect(watch.page.locator("#done")).to_have_js_property("value", 1)
        watch.page.emulate_media(color_scheme="light")
        assert watch.faint_texts() == []


def test_names_and_notes_with_markup_are_not_executed(
    browser: Browser, open_page: Client, lake: Screened
) -> None:
    object_id = lake.ids[f"line-0/{HOSTILE}"]
    open_page.decide(
        object_id, "reject", note="</textarea><img src=y onerror=alert(2)><script>alert(3)</script>"
    )
    with watched(browser, open_page) as watch:
        for path in ("/", "/slices", f"/slice/{object_id}/0", "/objects"):
            watch.open(path)
            assert (
                watch.page.locator("img[src=x], img[src=y], script:not([src]), b:text('notes')").count() == 0
            )
        watch.open(f"/slice/{object_id}/0")
        expect(watch.page.locator(".side .name")).to_have_text(HOSTILE)
        expect(watch.page.locator("#note")).to_have_value(
            "</textarea><img src=y onerror=alert(2)><script>alert(3)</script>"
        )


def test_everything_by_keyboard(browser: Browser, page: Client, private: Screened) -> None:
    volume = private.ids["ward/head.nii"]
    with watched(browser, page, viewport=WIDE, color_scheme="dark") as watch:
        watch.open()
        watch.press("j", "j", "k", "Enter")
        watch.follow("**/slice/**")
        first = watch.page.url
        watch.press("j")
        expect(watch.page).not_to_have_url(first)
        watch.settle()
        watch.press("k")
        watch.follow(first)

        watch.open(f"/slice/{volume}/7")
        watch.press(".")
        watch.page.wait_for_url(f"**/slice/{volume}/8*")
        expect(watch.page.locator("#slice-index")).to_have_attribute(
            "aria-valuetext", f"slice 9 of {VOLUME_SLICES}"
        )
        watch.settle()
        before = watch.inside()
        watch.press("]", "]", "]")
        assert watch.inside() < before
        picture(watch, "slice")
        watch.press("0")
        assert watch.inside() == before
        assert watch.painted() == before
        watch.press("m")
        assert watch.painted() > before
        watch.press("o")
        assert watch.painted() == 0

        watch.press("n")
        expect(watch.page.locator("#note")).to_be_focused()
        watch.page.keyboard.type("a ruj?")  # keys in a note are letters
        watch.press("Escape", "r")
        expect(watch.page.locator("#said")).to_contain_text("rejected slice 9")
        assert f"/slice/{volume}/8?" not in watch.page.url
        assert decided(private) == {(volume, 8): "reject"}
        watch.press("z")
        watch.follow(f"**/slice/{volume}/8*")
        assert decided(private) == {}
        watch.press("?")
        expect(watch.page.locator("#help")).to_be_visible()
        watch.press("a")  # not while the keys are shown
        watch.press("Escape")
        expect(watch.page.locator("#help")).to_be_hidden()
        assert decided(private) == {}
        watch.press("q")
        watch.page.wait_for_url("**/objects*")
        watch.press("g")
        watch.page.wait_for_url(f"{page.address}/?*")


def test_the_focus_is_seen_and_follows_the_page(browser: Browser, private: Screened) -> None:
    plain = Switches(pictures=False)
    with (
        served(private.output, private.private, switches=plain) as page,
        watched(browser, page) as watch,
    ):
        watch.open()
        reached = []
        while not reached or reached[-1] != "card":
            watch.press("Tab")
            focus = "document.activeElement"
            reached.append(watch.page.evaluate(f"{focus}.id || {focus}.className"))
            assert watch.page.evaluate(f"getComputedStyle({focus}).outlineStyle") == "solid", reached
            assert len(reached) < 40, reached
        controls = ["low", "high", "first", "last", "site", "modality", "highest", "decision", "order"]
        assert [name for name in dict.fromkeys(reached) if name in controls] == controls


def test_controls_have_names_and_texts_contrast(browser: Browser, page: Client, private: Screened) -> None:
    said = {"accept": "ward/ct.dcm", "reject": "line-0/part-04.png", "unsure": "ward/head.nii"}
    ids = {kind: private.ids[name] for kind, name in said.items()}
    for kind, object_id in ids.items():
        page.decide(object_id, kind, note="seen")
    with watched(browser, page) as watch:
        for path in (
            "/",
            "/slices",
            *(f"/slice/{object_id}/0" for object_id in ids.values()),
            "/objects",
            "/",
        ):
            watch.open(path)
            assert watch.unnamed() == [], path
            for scheme in ("dark", "light"):
                watch.page.emulate_media(color_scheme=scheme)
                assert watch.faint_texts() == [], (path, scheme)
        watch.press("?")
        for scheme in ("light", "dark"):
            watch.page.emulate_media(color_scheme=scheme)
            assert watch.faint_texts() == [], scheme


def test_a_narrow_window_needs_no_scrolling_sideways(
    browser: Browser, open_page: Client, lake: Screened
) -> None:
    volume = lake.ids["ward/head.nii"]
    with watched(browser, open_page, viewport=NARROW, color_scheme="light") as watch:
        for path in ("/", "/slices", f"/slice/{volume}/10", "/objects"):
            watch.open(path)
            assert watch.width() <= NARROW["width"], path
        watch.open(f"/slice/{volume}/10")
        picture(watch, "narrow")
        watch.press("?")
        assert watch.width() <= NARROW["width"]


def test_a_picture_that_cannot_be_shown_is_explained_in_its_place(
    browser: Browser, private: Screened, tmp_path: Path
) -> None:
    with served(private.output, tmp_path / "none") as page, watched(browser, page) as watch:
        watch.open(f"/slice/{private.ids['ward/ct.dcm']}/0")
        expect(watch.page.locator("#no-picture")).to_contain_text("crosswalk of run")
        assert watch.inside() > 0  # the map needs no source


def test_a_page_whose_server_is_gone_says_so(browser: Browser, private: Screened) -> None:
    with served(private.output, private.private) as page:
        opened = browser.new_context()
        shown = opened.new_page()
        shown.goto(page.entry)
        shown.goto(f"{page.address}/slice/{private.ids['ward/ct.dcm']}/0")
        shown.wait_for_selector("#viewer[data-ready]", state="attached")
    expect(shown.locator("#trouble")).to_be_hidden()
    shown.click("button.accept")
    expect(shown.locator("#trouble")).to_be_visible()
    opened.close()
