"""What is pressed while a decision is being saved: it waits, and what went wrong is seen."""

from urllib.parse import urlsplit

import pytest

from tests.pipeline.review.case_lists import write_cases
from tests.pipeline.review.serving import served
from tests.support.screened import Screened

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Route, expect

from tests.pipeline.review.browser import CHROMIUM, Watched, watched

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

WIDE = {"width": 1280, "height": 860}


def arrived(held: list[Route], watch: Watched) -> Route:
    """Return the request that is held, once it is: events come while the page is asked for something."""
    while not held:
        watch.page.wait_for_timeout(20)
    return held.pop()


def test_the_list_waits_for_a_decision_that_is_being_saved(browser: Browser, series: Screened) -> None:
    write_cases(series)
    with served(series.output, series.private) as page, watched(browser, page, viewport=WIDE) as watch:
        watch.open("/")
        watch.page.locator("a.card.case").first.click()
        watch.follow("**/slice/**case=*")
        held: list[Route] = []
        watch.page.route("**/decide?*", lambda route: held.append(route))
        asked: list[str] = []
        watch.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
        watch.press("a", "g")
        assert watch.page.evaluate("Boolean(waiting)")  # a variable of the page's script
        assert [path for path in asked if path == f"{page.root}/"] == []
        arrived(held, watch).continue_()
        watch.page.wait_for_url(f"{page.address}/?*")
        expect(watch.page.locator("a.card.case .badge.accept")).to_have_count(1)


def test_a_decision_that_cannot_be_saved_is_shown_not_left(browser: Browser, series: Screened) -> None:
    write_cases(series)
    with served(series.output, series.private) as page, watched(browser, page, viewport=WIDE) as watch:
        watch.open("/")
        watch.page.locator("a.card.case").first.click()
        watch.follow("**/slice/**case=*")
        held: list[Route] = []
        watch.page.route("**/decide?*", lambda route: held.append(route))
        watch.press("a", "g")
        assert watch.page.evaluate("Boolean(waiting)")
        arrived(held, watch).fulfill(status=503, body='<div id="page"><p>the disk is full</p></div>')
        expect(watch.page.locator("#page")).to_contain_text("the disk is full")
        watch.complaints.clear()  # the browser's own line about status 503
