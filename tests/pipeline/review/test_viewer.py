"""The slice view in a real browser: a series as a volume, windows, zoom, sizes in millimetres."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.imaging.test_outlines import inside
from tests.pipeline.review.serving import served
from tests.support.screened import SETTINGS, Screened
from tests.support.series import COLS, ROWS, SLICES, SPACING, hounsfield, series_name

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from playwright.sync_api import Browser, Page, expect

from tests.pipeline.review.browser import CHROMIUM, Watched, watched

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

expect.set_options(timeout=30_000)
WIDE = {"width": 1280, "height": 900}
PLACE = 6
"""Of the slice with the lesion."""


def address(screened: Screened, place: int = PLACE) -> str:
    return f"/slice/{screened.ids[series_name(place)]}/0?settings={SETTINGS}"


@pytest.fixture
def watch(browser: Browser, series: Screened) -> Iterator[Watched]:
    """A browser on the slice with the lesion."""
    with (
        served(series.output, series.private) as client,
        watched(browser, client, viewport=WIDE, color_scheme="dark") as opened,
    ):
        opened.open(address(series))
        yield opened


def at(page: Page, col: float, row: float) -> tuple[float, float]:
    """Return where a pixel of the slice is on the screen, from where the canvas stands."""
    box = page.locator("#picture").bounding_box()
    assert box
    return box["x"] + col / COLS * box["width"], box["y"] + row / ROWS * box["height"]


def point(page: Page, col: int, row: int) -> None:
    page.mouse.move(*at(page, col + 0.5, row + 0.5))


def greys(page: Page) -> "np.ndarray[tuple[int, int], np.dtype[np.int_]]":
    """Return the grey levels of the picture that is drawn."""
    found = page.evaluate(
        """() => { const c = document.getElementById("picture");
        const copy = new OffscreenCanvas(c.width, c.height);
        const context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(c, 0, 0);
        return [...context.getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0); }"""
    )
    return np.array(found).reshape(ROWS, COLS)


def expected(place: int, centre: float, width: float) -> "np.ndarray[tuple[int, int], np.dtype[np.int_]]":
    scaled = (hounsfield(place) - (centre - width / 2)) / width * 255
    return np.floor(np.clip(scaled, 0, 255) + 0.5).astype(int)


def drawn(page: Page) -> None:
    """Wait until the picture is that of the window that is set."""
    viewer = page.locator("#viewer")
    expect(viewer).to_have_attribute("data-drawn", str(viewer.get_attribute("data-window")))


def stands_at(watch: Watched, screened: Screened, place: int) -> None:
    """Wait until the page shows this slice of the series."""
    watch.follow(f"**/slice/{screened.ids[series_name(place)]}/0*")
    expect(watch.page.locator("#slice-index")).to_have_attribute(
        "aria-valuetext", f"slice {place + 1} of {SLICES}"
    )


def test_a_series_is_walked_by_wheel_arrows_and_slider(watch: Watched, series: Screened) -> None:
    stands_at(watch, series, PLACE)
    expect(watch.page.locator("#volume")).to_contain_text("In anatomical order.")
    expect(watch.page.locator("#volume polyline")).to_have_count(1)
    point(watch.page, 40, 40)
    watch.page.mouse.wheel(0, 100)
    stands_at(watch, series, PLACE + 1)
    for key, place in (("ArrowUp", PLACE), ("ArrowLeft", PLACE - 1), ("ArrowDown", PLACE), (".", PLACE + 1)):
        watch.press(key)
        stands_at(watch, series, place)
    watch.page.locator("#stage").focus()
    watch.press("ArrowRight")
    stands_at(watch, series, PLACE + 2)
    watch.page.locator("#slice-index").focus()
    watch.press("Home")
    stands_at(watch, series, 0)
    watch.page.locator("#slice-index").focus()
    watch.press("End")
    stands_at(watch, series, SLICES - 1)


def test_windows_are_made_of_the_original_values(watch: Watched, series: Screened) -> None:
    page = watch.page
    as_screened = greys(page)
    names = page.locator("#preset option").all_text_contents()
    assert names[:5] == ["as screened", "Brain", "Lung", "Bone", "Soft tissue"]
    for name, centre, width in (("Brain", 40, 80), ("Lung", -600, 1500), ("Bone", 400, 1800)):
        page.select_option("#preset", name)
        expect(page.locator("#viewer")).to_have_attribute("data-window", f"{centre} {width}")
        drawn(page)
        np.testing.assert_allclose(greys(page), expected(PLACE, centre, width), atol=1)
        expect(page.locator("#centre")).to_have_value(str(centre))
    # typed, and kept in the next slice
    page.fill("#centre", "100")
    page.fill("#width", "500")
    page.locator("#width").press("Tab")
    expect(page.locator("#viewer")).to_have_attribute("data-window", "100 500")
    point(page, 40, 40)
    page.mouse.wheel(0, 100)
    stands_at(watch, series, PLACE + 1)
    expect(page.locator("#viewer")).to_have_attribute("data-window", "100 500")
    drawn(page)
    np.testing.assert_allclose(greys(page), expected(PLACE + 1, 100, 500), atol=1)
    # dragged
    x, y = at(page, 50, 30)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 200, y + 40)
    page.mouse.up()
    centre, width = map(float, str(page.locator("#viewer").get_attribute("data-window")).split())
    assert width == pytest.approx(500 * np.e, rel=1e-6)
    assert centre == pytest.approx(150, rel=1e-6)
    page.select_option("#preset", "")
    page.locator("#stage").focus()
    watch.press("ArrowUp")
    stands_at(watch, series, PLACE)
    np.testing.assert_array_equal(greys(page), as_screened)


def test_the_value_under_the_pointer_is_in_hounsfield_units(watch: Watched) -> None:
    for col, row in ((60, 30), (3, 5), (48, 50)):
        point(watch.page, col, row)
        words = re.compile(
            rf"column {col + 1}, row {row + 1}; {hounsfield(PLACE)[row, col]} HU; map 0\.\d\d\d"
        )
        expect(watch.page.locator("#readout")).to_have_text(words)
    watch.press("+", "+", "+")
    point(watch.page, 45, 33)
    expect(watch.page.locator("#readout")).to_contain_text(f"{hounsfield(PLACE)[33, 45]} HU")


def test_pixels_have_their_aspect_and_can_be_seen_one_by_one(watch: Watched) -> None:
    page = watch.page

    def size() -> tuple[float, float]:
        box = page.locator("#picture").bounding_box()
        assert box
        return box["width"], box["height"]

    width, height = fitted = size()
    assert height / width == pytest.approx(ROWS * SPACING[0] / (COLS * SPACING[1]), rel=1e-3)
    point(page, 60, 30)
    before = at(page, 60.5, 30.5)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    assert size()[0] == pytest.approx(width * np.e, rel=1e-3)
    assert at(page, 60.5, 30.5) == pytest.approx(before, abs=2)  # as wheels tell whole pixels
    assert page.locator("#picture").evaluate("c => getComputedStyle(c).imageRendering") == "pixelated"
    page.click("#native")
    assert size()[0] == pytest.approx(COLS, abs=0.01)  # a pixel each
    page.click("[data-tool=pan]")
    x, y = before = at(page, 10, 10)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y - 20)
    page.mouse.up()
    assert at(page, 10, 10) == pytest.approx((x + 30, y - 20), abs=0.5)
    page.locator("#stage").dblclick()
    assert size() == pytest.approx(fitted)
    watch.press("+")
    assert size()[0] == pytest.approx(width * 1.25, rel=1e-3)
    watch.press("2")
    assert size() == pytest.approx(fitted)


def test_sides_scale_lengths_and_areas(watch: Watched) -> None:
    page = watch.page
    for side, letter in (("left", "R"), ("right", "L"), ("top", "A"), ("bottom", "P")):
        expect(page.locator(f"#pane .mark.{side}")).to_have_text(letter)
    expect(page.locator("#sides")).to_have_text("Left edge R, right L, top A, bottom P.")
    box, bar = page.locator("#picture").bounding_box(), page.locator("#scale .bar").bounding_box()
    assert box
    assert bar
    text = str(page.locator("#scale").text_content())
    assert bar["width"] / (box["width"] / COLS) * SPACING[1] == pytest.approx(
        float(text.split()[0]), rel=0.02
    )

    watch.press("l")
    page.mouse.move(*at(page, 20, 30))
    page.mouse.down()
    page.mouse.move(*at(page, 60, 45))
    page.mouse.up()
    said = str(page.locator("#length").text_content())
    assert said.endswith(" mm")
    assert float(said.split()[0]) == pytest.approx(np.hypot(40 * SPACING[1], 15 * SPACING[0]), abs=0.6)
    # by keyboard alone
    page.reload()
    watch.settle()
    watch.press("l")
    page.locator("#stage").focus()
    watch.press("ArrowRight", "Enter", "Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowDown", "Enter")
    expect(page.locator("#length")).to_have_text(f"{np.hypot(20 * SPACING[1], 10 * SPACING[0]):.1f} mm")
    expect(page.locator("#readout")).to_contain_text("HU")

    whole = ROWS * COLS * SPACING[0] * SPACING[1]
    expect(page.locator("#area")).to_have_text(re.compile(r" mm²\)$"))
    area = str(page.locator("#area").text_content())
    share, size = (float(number) for number in re.findall(r"[\d.]+(?:e\+\d+)?", area))
    assert size == pytest.approx(share / 100 * whole, rel=0.02)
    regions = [
        float(re.findall(r"[\d.]+", text)[0]) for text in page.locator("#regions button").all_text_contents()
    ]
    assert regions == sorted(regions, reverse=True)
    assert sum(regions) == pytest.approx(size, rel=0.02)


def test_the_outline_is_the_mask_and_as_wide_at_any_zoom(watch: Watched) -> None:
    page = watch.page
    line = page.locator("#outline .over")

    def outlined() -> int:
        shape = [int(number) for number in str(page.locator("#outline").get_attribute("viewBox")).split()]
        return int(inside(str(line.get_attribute("d")), (shape[3], shape[2])).sum())

    assert outlined() == watch.inside() > 0
    before = page.locator("#outline").bounding_box()
    watch.press("+", "+")
    box, picture = page.locator("#outline").bounding_box(), page.locator("#picture").bounding_box()
    assert box == picture != before
    assert line.evaluate("e => getComputedStyle(e).vectorEffect") == "non-scaling-stroke"
    page.fill("#threshold", "0.6")
    assert outlined() == watch.inside()
    watch.press("o")
    expect(page.locator("#outline")).to_be_hidden()


def test_the_original_stands_beside_the_overlay(watch: Watched) -> None:
    page = watch.page
    expect(page.locator("#beside")).to_be_hidden()
    watch.press("b")
    panes = [page.locator(f"#{name}").bounding_box() for name in ("beside", "pane")]
    assert panes[0]
    assert panes[1]
    assert panes[0]["width"] == pytest.approx(panes[1]["width"], abs=1)
    assert panes[0]["x"] < panes[1]["x"]
    assert page.locator("#beside canvas").count() == 1  # without a map over it
    assert watch.painted() > 0
    for words in ("Original", "Map and mask"):
        expect(page.locator(".pane .label", has_text=words)).to_be_visible()
    page.select_option("#preset", "Lung")
    drawn(page)
    pixels = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.join()"
    beside, main = (page.locator(f"{name} .picture").evaluate(pixels) for name in ("#beside", "#pane"))
    assert beside == main
    watch.press("+")
    sizes = [page.locator(f"{name} .picture").bounding_box() for name in ("#beside", "#pane")]
    assert sizes[0]
    assert sizes[1]
    assert sizes[0]["width"] == sizes[1]["width"]


def test_without_the_source_the_page_says_why_there_is_no_window(
    browser: Browser, series: Screened, tmp_path: Path
) -> None:
    with (
        served(series.output, tmp_path / "none") as client,
        watched(browser, client, viewport=WIDE) as watch,
    ):
        watch.open(address(series))
        expect(watch.page.locator("#window-note")).to_contain_text("crosswalk of run")
        expect(watch.page.locator("#preset")).to_be_disabled()
        expect(watch.page.locator("#scale")).to_be_hidden()
        assert watch.inside() > 0
