"""Beside a slice stand the usual pictures that it was most like, as far as results and source hold them."""

import re
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from s2sw.pipeline.review.media import Switches
from tests.pipeline.review.profiled import GROUP, Place, name_similar
from tests.pipeline.review.serving import Client, served
from tests.support.finished_runs import FIRST, SETTINGS
from tests.support.rows import made_id
from tests.support.screened import Screened, archive_files

LOOKED_AT, VOLUME = "line-0/part-04.png", "ward/head.nii"
NOWHERE = made_id(FIRST, 999), 0


def usual(screened: Screened) -> list[Place]:
    return [
        (screened.ids[VOLUME], 7),
        (screened.ids["line-0/part-06.png"], 0),
        (screened.ids["ward/ct.dcm"], 0),
    ]


def beside(page: Client, screened: Screened) -> str:
    """Return the part of a slice's page that shows them, "" where it shows none."""
    answer = page.get(f"/slice/{screened.ids[LOOKED_AT]}/0")
    assert answer.status == 200
    return answer.text.partition('<section class="similar"')[2].partition("</section>")[0]


def test_they_are_shown_in_order_with_what_was_said_of_them(private: Screened) -> None:
    name_similar(private, usual(private))
    with served(private.output, private.private) as page:
        page.decide(usual(private)[1][0], "accept")
        text = beside(page, private)
        assert re.findall(r'href="[^"]*/slice/([^"?]+)', text) == [
            f"{one}/{at}" for one, at in usual(private)
        ]
        assert GROUP in text
        assert text.count("✓ anomaly") == 1
        assert text.index("✓ anomaly") > text.index("Usual picture 2")
        sizes = []
        for path in re.findall(r'src="([^"]+)"', text):
            small = page.get(path.replace("&amp;", "&"))
            assert small.headers["Content-Type"] == "image/jpeg"
            sizes.append(Image.open(BytesIO(small.body)).size)
        with Image.open(BytesIO(archive_files()["line-0/part-06.png"])) as original:
            assert sizes[1] == original.size
    name = private.archive.joinpath("line-0/part-06.png").name
    assert name not in text  # private pages name nobody


def test_what_the_results_do_not_hold_is_counted(lake: Screened) -> None:
    name_similar(lake, [usual(lake)[0], NOWHERE])
    with served(lake.output, lake.private) as page:
        for _ in range(2):  # from the results, and as remembered
            text = beside(page, lake)
            assert text.count("<li>") == 1
            assert "1 of the pictures that it was compared with is not in these results" in text


def test_without_pictures_or_their_crosswalk_no_pixel_is_shown(private: Screened, tmp_path: Path) -> None:
    name_similar(private, usual(private))
    with served(private.output, private.private, switches=Switches(pictures=False)) as page:
        text = beside(page, private)
        assert text.count("<li>") == 3
        assert "<img" not in text
    with served(private.output, tmp_path / "none") as page:
        (first, *_) = re.findall(r'src="([^"]+)"', beside(page, private))
        card = page.get(first.replace("&amp;", "&"))
        assert card.headers["Content-Type"] == "image/svg+xml"
        assert "crosswalk" in card.text


def test_rows_without_them_say_why_and_rows_without_a_profile_nothing(lake: Screened) -> None:
    words = "Which usual pictures it is most like is not in its row"
    address = f"/slice/{lake.ids[LOOKED_AT]}/0?settings={SETTINGS}"
    with served(lake.output, lake.private) as page:
        assert words not in page.get(address).text
    name_similar(lake, None)
    for path in lake.output.glob("slices/**/*.parquet"):  # as an earlier version wrote them
        pq.write_table(pq.ParquetFile(path).read().drop_columns(["similar_pictures"]), path)
    with served(lake.output, lake.private) as page:
        assert words in page.get(address).text
        assert beside(page, lake) == ""


def test_names_that_no_run_wrote_are_not_followed(lake: Screened) -> None:
    name_similar(lake, [NOWHERE] * 17)
    with served(lake.output, lake.private) as page:
        assert beside(page, lake) == ""
    for place in (("../../etc/passwd", 0), (NOWHERE[0], -1)):
        name_similar(lake, [place])
        with served(lake.output, lake.private) as page:
            answer = page.get(f"/slice/{lake.ids[LOOKED_AT]}/0")
            assert answer.status == 404
            assert "passwd" not in answer.text
