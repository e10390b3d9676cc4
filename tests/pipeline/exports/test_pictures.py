"""PNG overlays, and the page that needs no server."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typing_extensions import override

from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.overlays import GAP, SIDE, overlay
from tests.pipeline.exports.exported import export, rows_of
from tests.support.screened import HOSTILE, Screened, screen_archive
from tests.support.series import COLS, ROWS, SPACING, series_files


class Page(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(open_archive: Screened, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    assert export(open_archive, "top.html", folder, top=None).written == len(rows_of(open_archive))
    assert [path.name for path in folder.iterdir()] == ["top.html"]
    return (folder / "top.html").read_text()


def test_overlays_show_picture_and_map_side_by_side(private_archive: Screened, folder: Path) -> None:
    exported = export(private_archive, "png", folder, Reveal.PIXELS, top=5)
    files = sorted(folder.iterdir())
    assert exported.written == len(files) == 5
    for path in files:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            left, right = halves(picture)
            assert left.tobytes() != right.tobytes()


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    """Two slices of a CT whose pixels are twice as high as wide."""
    files = dict(list(series_files().items())[:2])
    return screen_archive(tmp_path_factory.mktemp("scans"), "open", files=files)


def test_pixels_that_are_no_squares_are_shown_as_they_are(scans: Screened, tmp_path: Path) -> None:
    aspect = SPACING[0] / SPACING[1]
    export(scans, "png", tmp_path / "png")
    for path in (tmp_path / "png").iterdir():
        with Image.open(path) as picture:
            left, _ = halves(picture)
            assert left.height / left.width == pytest.approx(ROWS * aspect / COLS, rel=0.01)
    export(scans, "top.html", tmp_path)
    page = (tmp_path / "top.html").read_text()
    sizes = set(re.findall(r'width="(\d+)" height="(\d+)"', page))
    assert sizes == {(str(COLS), str(round(ROWS * aspect)))}
    assert re.findall(r'aria-label="Scale bar: ([^"]*)"', page) == ["20 mm"] * 2
    share = 100 * 20 / (COLS * SPACING[1])
    assert page.count(f'x2="{share:.3f}%"') == 2


def test_masks_are_outlined_whatever_the_size_of_the_slice() -> None:
    pixels, mask = np.full((2000, 3000), 60, np.uint8), np.zeros((2000, 3000), np.bool_)
    mask[1000, 1500] = True
    picture = overlay(pixels, np.zeros(pixels.shape, np.float32), mask)
    _, drawn = halves(picture)
    assert {colour: count for count, colour in drawn.getcolors() or []}[255, 255, 255] == 1


def halves(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    width = (picture.width - GAP) // 2
    left = picture.crop((0, 0, width, picture.height))
    return left, picture.crop((width + GAP, 0, picture.width, picture.height))


def test_what_an_overlay_shows_is_said_beside_its_pixels(open_archive: Screened, folder: Path) -> None:
    export(open_archive, "png", folder, top=None)
    rows = rows_of(open_archive)
    names = {object_id: name for name, object_id in open_archive.ids.items()}
    for path in folder.iterdir():
        _, object_id, index = path.stem.split("-")
        row = rows[object_id, int(index)]
        with Image.open(path) as picture:
            text = picture.info["Description"]
        assert names[object_id] in text
        assert text.endswith(
            f"slice {row['slice_index'] + 1} of {row['n_slices']}: score {row['image_score']:.4f}"
        )


def test_no_pixel_is_covered_by_words() -> None:
    pixels = np.full((50, 100), 60, np.uint8)
    picture = overlay(pixels, np.zeros(pixels.shape, np.float32), np.zeros(pixels.shape, np.bool_))
    assert picture.size == (2 * SIDE + GAP, SIDE // 2)
    for half in halves(picture):
        assert half.getcolors() == [(SIDE * SIDE // 2, (60, 60, 60))]


def test_the_page_holds_every_picture_and_asks_for_nothing(open_archive: Screened, page: str) -> None:
    found = Page(page)
    sources = [value for name, value in found.attributes if name == "src"]
    assert len(sources) == 2 * len(rows_of(open_archive))
    sizes = {f"{row['rows']} x {row['cols']} pixels" for row in rows_of(open_archive).values()}
    assert all(size in found.text for size in sizes)
    assert len(sizes) > 4
    for source in sources[:6]:
        kind, _, data = source.partition(";base64,")
        with Image.open(BytesIO(base64.b64decode(data))) as picture:
            assert kind == f"data:image/{(picture.format or '').lower()}"
    assert all(source.startswith("data:image/") for source in sources)
    assert not {name for name, _ in found.attributes} & {"href", "srcset", "action", "data"}
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_page_needs_no_script_and_allows_its_own_style_alone(page: str) -> None:
    found = Page(page)
    assert "script" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(value for name, value in found.attributes if value.startswith("default-src"))
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"


def test_names_with_markup_are_text(open_archive: Screened, page: str) -> None:
    assert HOSTILE not in page
    found = Page(page)
    assert HOSTILE in found.text
    assert found.tags.count("img") == 2 * len(rows_of(open_archive))


def test_every_picture_has_a_text_and_every_control_a_label(page: str) -> None:
    assert page.count('<label for="maps">') == page.count('<input type="checkbox" id="maps"') == 1
    texts = [value for name, value in Page(page).attributes if name == "alt"]
    assert sum(text.startswith("Rank ") for text in texts) == texts.count("") == page.count("<li>") > 0
