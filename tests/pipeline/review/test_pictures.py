"""Pictures, thumbnails and maps are those of the run, and say so where they cannot be."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.pipeline.results.reading import full_map, open_results
from s2sw.schemas.decoding import DecodeSettings
from tests.pipeline.review.serving import Client, served
from tests.support.screened import (
    HOSTILE,
    THRESHOLD,
    Screened,
    archive_files,
    path_of,
    screen_archive,
)
from tests.support.series import COLS, ROWS, SPACING, series_name


def test_the_map_is_that_of_the_results(page: Client, private: Screened) -> None:
    answer = page.get(path_of("map", private, "line-0/part-04.png"))
    rows, cols = int(answer.headers["X-Rows"]), int(answer.headers["X-Cols"])
    found = np.frombuffer(answer.body, "<u2").reshape(rows, cols) / 65535
    row = (
        open_results(str(private.output))
        .sql(f"SELECT * FROM slices WHERE object_id = '{private.ids['line-0/part-04.png']}'")
        .to_arrow_table()
        .to_pylist()[0]
    )
    np.testing.assert_allclose(found, full_map(row), atol=1e-5)
    # the mask that the page draws at the run's own threshold is the stored one
    assert (found >= THRESHOLD).mean() == pytest.approx(row["area_fraction"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "index"), [("line-0/part-04.png", 0), ("ward/head.nii", 7), ("ward/ct.dcm", 0)]
)
def test_the_picture_is_the_slice_that_was_screened(
    page: Client, private: Screened, name: str, index: int
) -> None:
    data = archive_files()[name]
    expected = [picture.pixels for picture in decode(data, DecodeSettings())[1]][index]
    for place in (index, max(0, index - 3), index):  # forth and back in a volume
        answer = page.get(path_of("picture", private, name, place))
        assert answer.headers["Content-Type"] == "image/png"
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(answer.body))), expected)


def test_members_of_archives_are_shown(
    page: Client, open_page: Client, private: Screened, lake: Screened
) -> None:
    for client, screened in ((page, private), (open_page, lake)):
        small = client.get(path_of("thumbnail", screened, "box.zip!belt/scan.png"))
        assert small.headers["Content-Type"] == "image/jpeg"
        assert Image.open(BytesIO(small.body)).size == (160, 120)


def test_pixels_that_are_no_squares_are_so_in_small_pictures_too(series: Screened) -> None:
    with served(series.output, series.private) as client:
        small = Image.open(BytesIO(client.get(path_of("thumbnail", series, series_name(6))).body))
        assert small.size == (COLS, round(ROWS * SPACING[0] / SPACING[1]))


def test_open_results_are_shown_without_their_crosswalk(lake: Screened, tmp_path: Path) -> None:
    with served(lake.output, tmp_path / "none") as page:
        for name in ("line-0/part-04.png", "box.zip!belt/scan.png", f"line-0/{HOSTILE}"):
            assert page.get(path_of("picture", lake, name)).headers["Content-Type"] == "image/png", name


def test_private_results_without_their_crosswalk_say_what_is_missing(
    private: Screened, tmp_path: Path
) -> None:
    with served(private.output, tmp_path / "none") as page:
        answer = page.get(path_of("picture", private, "ward/ct.dcm"))
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "crosswalk of run" in answer.text
        assert "--private-dir" in answer.text
        card = page.get(path_of("thumbnail", private, "ward/ct.dcm"))
        assert card.headers["Content-Type"] == "image/svg+xml"


def test_a_source_that_is_gone_or_changed_is_said_so(tmp_path: Path) -> None:
    gone, changed = "line-0/part-04.png", "line-0/part-06.png"
    for mode in ("private", "open"):
        screened = screen_archive(tmp_path / mode, mode, [gone, changed])
        (screened.archive / gone).unlink()
        (screened.archive / changed).write_bytes(archive_files()["line-0/part-08.png"])
        # open results know where their objects lie, without the crosswalk too
        for private in (screened.private, tmp_path / "none")[: 1 if mode == "private" else 2]:
            with served(screened.output, private) as page:
                assert "The source is gone" in page.get(path_of("picture", screened, gone)).text
                answer = page.get(path_of("picture", screened, changed))
                assert "has changed since it was screened" in answer.text
