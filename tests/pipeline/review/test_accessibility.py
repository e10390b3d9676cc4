"""axe-core over every page that people look at: no serious violation of WCAG, wide and narrow.

Apart from the others (``make test-clients``): axe-core comes by npm.
"""

import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from tests.jobs.test_profile import written
from tests.pipeline.review.case_lists import write_cases
from tests.pipeline.review.serving import served
from tests.support import layouts
from tests.support.bundles import bundle
from tests.support.finished_runs import FIRST, SECOND
from tests.support.nights import night, usual
from tests.support.rows import screened
from tests.support.screened import Screened

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Page

from tests.pipeline.review.browser import CHROMIUM, watched

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

AXE = "axe-core@4.14.1"
SIZES = [{"width": 1400, "height": 900}, {"width": 390, "height": 844}]
GRAVE = ("serious", "critical", "moderate")


BROKEN_WORDS = r"""() => {
  const found = [];
  for (const cell of document.querySelectorAll("th, td")) {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      for (const word of walker.currentNode.data.matchAll(/[\p{L}\p{N}]+/gu)) {
        const range = document.createRange();
        range.setStart(walker.currentNode, word.index);
        range.setEnd(walker.currentNode, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
        if (lines.size > 1) found.push(word[0]);
      }
    }
  }
  return found;
}"""
"""Words in the cells of tables that go on in the next line."""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the source of axe-core."""
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(["npm", "pack", AXE], cwd=folder, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError):
        pytest.skip(f"npm cannot fetch {AXE}")
    (package,) = folder.glob("*.tgz")
    with tarfile.open(package) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member
        return member.read().decode()


def violations(page: Page, axe: str) -> list[str]:
    """Return what axe finds, a line each with the elements."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{one['impact']} {one['id']}: {', '.join(str(node['target'][0]) for node in one['nodes'][:3])}"
        for one in found
        if one["impact"] in GRAVE
    ]


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_review_page(browser: Browser, lake: Screened, axe: str, size: Any, scheme: Any) -> None:
    found = {}
    write_cases(lake)
    with (
        served(lake.output, lake.private) as client,
        watched(browser, client, viewport=size, color_scheme=scheme) as watch,
    ):
        watch.open("/slices")
        card = watch.page.locator("a.card").first.get_attribute("href") or ""
        volume = watch.page.locator("a.card", has_text="slice").first.get_attribute("href") or ""
        for path in (
            "/",
            "/slices",
            "/objects",
            card.removeprefix(client.root),
            volume.removeprefix(client.root),
            "/slices?low=0.9999",
        ):
            watch.open(path)
            found[path] = violations(watch.page, axe)
            assert watch.page.locator("h1").count() == 1, path
    assert not any(found.values()), found


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cases_their_volumes_the_keys_and_what_went_wrong(
    browser: Browser, series: Screened, axe: str, size: Any, scheme: Any
) -> None:
    found = {}
    write_cases(series)
    with (
        served(series.output, series.private) as client,
        watched(browser, client, viewport=size, color_scheme=scheme) as watch,
    ):
        watch.open("/")
        case = watch.page.locator("a.card.case").first.get_attribute("href") or ""
        for path in (f"/{case.removeprefix(client.root).lstrip('/')}", "/slices?low=high"):
            watch.open(path)
            found[path] = violations(watch.page, axe)
            assert watch.page.locator("h1").count() == 1, path
            watch.press("?")
            watch.page.wait_for_selector("dialog[open]")
            found[f"keys of {path}"] = violations(watch.page, axe)
        watch.complaints.clear()  # the browser's own line about the answer 400
    assert not any(found.values()), found


@pytest.fixture(scope="module")
def files(
    open_archive: Screened, series_archive: Screened, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Return every page that is a file, with pictures, scale bars, two detectors and names that are long."""
    folder = tmp_path_factory.mktemp("pages")
    bundles = [str(bundle(folder / f"detector-{seed}", seed)) for seed in (5, 6)]
    data = layouts.mvtec(folder / "metal", ("bolt", "a-name-without-any-blank-" * 4))
    suite = folder / "suite.yaml"
    suite.write_text(f"datasets:\n- {{path: {data}, name: Metal}}\n")
    night(folder / "nights", FIRST, usual(600))
    night(folder / "nights", SECOND, [screened(n, 0.4 + n / 1000, 0.9) for n in range(200)])
    profile = written(folder / "profile", "0123")
    made = {
        "report.html": ["report", str(open_archive.output)],
        "top.html": ["export", str(open_archive.output), "--top", "12"],
        "scans.html": [
            "export", str(series_archive.output), "--private-dir", str(series_archive.private),
            "--reveal", "pixels", "--reveal", "names",
        ],
        "evaluation.html": ["evaluate", *bundles, str(data), "--quiet"],
        "suite.html": ["evaluate", *bundles, "--suite", str(suite), "--quiet"],
        "nights.html": ["report", str(folder / "nights")],
        "profile.html": ["profile", "show", str(profile)],
    }  # fmt: skip
    assert CliRunner().invoke(app, ["worklist", str(folder / "nights"), "--budget", "9"]).exit_code == 0
    for name, command in made.items():
        done = CliRunner().invoke(app, [*command, "--html", str(folder / name)])
        assert done.exit_code == 0, done.output
    return [folder / name for name in made]


@pytest.mark.parametrize("size", SIZES, ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_that_are_files(browser: Browser, files: list[Path], axe: str, size: Any, scheme: Any) -> None:
    found = {}
    for path in files:
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.goto(path.as_uri())
        found[path.name] = violations(page, axe)
        assert page.locator("h1").count() == 1, path
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        assert page.evaluate(BROKEN_WORDS) == [], path
        page.close()
    assert not any(found.values()), found
