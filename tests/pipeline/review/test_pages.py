"""What the pages say, and what they do not."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.flagging.decisions import decisions
from s2sw.pipeline.review.media import Switches
from s2sw.schemas.storage import StorageSettings
from tests.pipeline.review.serving import Client, served
from tests.support.finished_runs import SECOND
from tests.support.s3server import S3Server
from tests.support.screened import (
    HOSTILE,
    VOLUME_SLICES,
    Screened,
    path_of,
)

SLICES = 51


def cards(text: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'class="card" href="([^"]+)"', text)]


def link(text: str, rel: str) -> str:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', text)
    assert found, f"no link {rel}"
    return unescape(found[1])


def test_the_pages_of_the_worklist_hold_every_slice_once(page: Client) -> None:
    first = page.get("/slices").text
    second = page.get(link(first, "next")).text
    assert len(cards(first)) == 48
    assert len(set(cards(first) + cards(second))) == SLICES
    assert "<strong>49\u201351</strong> of <strong>51</strong>" in second
    assert cards(page.get(link(second, "prev")).text) == cards(first)


def test_scores_fall_along_the_worklist_and_filters_are_in_the_links(page: Client) -> None:
    text = page.get("/slices?low=0.3&highest=1&site=south").text
    scores = [float(score) for score in re.findall(r'class="score">([\d.]+)', text)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 0.3
    assert all("low=0.3" in address and "site=south" in address for address in cards(text))
    assert 'value="0.3"' in text


def test_a_slice_says_where_it_stands_and_leads_on(page: Client, private: Screened) -> None:
    listed = cards(page.get("/slices").text)
    text = page.get(listed[3]).text
    assert f"4 of {SLICES}" in text
    assert link(text, "prev") == listed[2]
    assert link(text, "next") == listed[4]
    volume = page.get(f"/slice/{private.ids['ward/head.nii']}/7").text
    assert f"slice 8 of {VOLUME_SLICES}" in volume
    assert "Score along the stack" in volume
    assert all(f"slice {number}</text>" in volume for number in (1, VOLUME_SLICES)), "the axis below it"
    part = page.get(f"/slice/{private.ids['line-0/part-00.png']}/0").text
    assert part.count("180 x 240 pixels") == 2


def test_what_was_not_screened_is_listed_with_its_reason(page: Client, private: Screened) -> None:
    text = page.get("/objects").text
    assert "ends too early" in text
    assert all(private.ids[name] in text for name in ("broken/empty.png", "broken/cut.png"))
    only = page.get("/objects?reason=truncated").text
    assert private.ids["broken/cut.png"] in only
    assert private.ids["broken/empty.png"] not in only
    assert "Nothing: no object" in page.get("/objects?status=no_pixels").text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/slices?low=high", "low is 'high': a number from 0 to 1 is expected"),
        ("/slices?first=yesterday", "first is 'yesterday': a day such as 2026-07-31 is expected"),
        ("/slices?decision=maybe", "decision is 'maybe': one of"),
        ("/slices?after=x", "follow the links of the worklist"),
        ("/slices?after=0.5%2C99999999999%2Ca", "follow the links of the worklist"),
        ("/slices?settings=<b>", "settings is '<b>': the results hold ffff"),
        ("/objects?status=lost", "status is 'lost': one of quarantined, no_pixels is expected"),
    ],
)
def test_an_address_that_makes_no_sense_is_one_line(page: Client, path: str, message: str) -> None:
    answer = page.get(path)
    assert answer.status == 400
    (line,) = re.findall(r'role="alert">(.*)</p>\n</main>', answer.text)
    assert message in unescape(line)
    assert "<b>" not in line


FIELDS = ["low", "first", "site", "modality", "decision", "order", "after", "before", "settings", "status",
          "reason", "behind", "highest"]  # fmt: skip
TEXTS = st.text(max_size=20) | st.sampled_from(["1e400", "nan,0,a", "0,-1,b", "1,2147483648,c", "0001-01-01"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    path=st.sampled_from(["/", "/slices", "/objects", "/slice/{}/0", "/map/{}/1"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), TEXTS, max_size=3),
)
def test_no_address_breaks_the_page(
    page: Client, private: Screened, path: str, fields: dict[str, str]
) -> None:
    address = f"{path.format(private.ids['ward/head.nii'])}?{urlencode(fields, errors='replace')}"
    assert page.get(address).status in (200, 400, 404)


def test_slices_that_do_not_exist_are_said_so(page: Client, private: Screened) -> None:
    volume = private.ids["ward/head.nii"]
    for path in (
        "/slice/nobody/0",
        f"/slice/{volume}/99",
        f"/slice/{volume}/9999999999",
        "/map/nobody/0",
        "/x",
    ):
        assert page.get(path).status == 404, path
    for digits in ("1" * 30, "9" * 5000):
        assert page.get(f"/slice/{volume}/{digits}").status == 400
    for run in ("*", "..", "a.b", "%2e%2e", "[0-9]"):
        assert page.get(f"/picture/{run}/{volume}/0").status == 404, run


def test_private_pages_name_nobody(private: Screened) -> None:
    words = [
        "archive",
        "head.nii",
        "ct.dcm",
        "part-",
        "line-",
        "ward",
        "belt",
        "onerror",
        str(private.archive),
    ]
    with served(private.output, private.private) as page:
        pages = ["/", "/slices", "/slices", "/objects", *cards(page.get("/slices").text)[:3]]
        for path in pages:
            text = page.get(path).text
            assert not [word for word in words if word in text], path


def test_names_are_shown_if_asked_for(private: Screened) -> None:
    with served(private.output, private.private, switches=Switches(show_names=True)) as page:
        assert "head.nii" in page.get("/slices").text
        assert str(private.archive / "broken/cut.png") in page.get("/objects").text
        assert str(private.archive / "ward/ct.dcm") in page.get(f"/slice/{private.ids['ward/ct.dcm']}/0").text


def test_markup_in_names_and_notes_stays_text(open_page: Client, lake: Screened) -> None:
    object_id, note = lake.ids[f"line-0/{HOSTILE}"], "</textarea><script>alert(2)</script>\"'<img src=x>"
    assert open_page.decide(object_id, "unsure", note=note).status == 303
    pages = ["/", "/slices", "/slices?decision=unsure", "/objects", f"/slice/{object_id}/0"]
    texts = "".join(open_page.get(path).text for path in pages)
    assert HOSTILE in unescape(texts)
    assert note in unescape(texts)
    assert "<b>notes</b>" in unescape(texts)
    for tag in ("<img src=x", "<script>", "<b>notes", "</textarea><"):
        assert tag not in texts


def test_without_pictures_nothing_is_read(private: Screened) -> None:
    with served(private.output, private.private, switches=Switches(pictures=False)) as page:
        text = page.get("/slices").text
        assert len(cards(text)) == 48
        assert "/thumbnail/" not in text
        assert "data-picture" not in page.get(cards(text)[0]).text
        for kind in ("picture", "thumbnail"):
            assert page.get(path_of(kind, private, "ward/ct.dcm")).status == 404
        assert page.get(path_of("map", private, "ward/ct.dcm")).status == 200


@pytest.mark.integration
def test_results_on_s3_are_reviewed_like_others(s3: S3Server, private: Screened) -> None:
    address = f"s3://{s3.bucket()}/nightly"
    output = open_output(address, StorageSettings())
    for path in private.output.rglob("*.*"):
        output.write(path.relative_to(private.output).as_posix(), path.read_bytes())
    with served(address, private.private) as page:
        assert len(cards(page.get("/slices?site=south&highest=1").text)) == 19
        assert page.get(path_of("picture", private, "ward/ct.dcm")).headers["Content-Type"] == "image/png"
        assert page.decide(private.ids["ward/ct.dcm"], "accept").status == 303
        assert len(cards(page.get("/slices?decision=accept").text)) == 1
    assert decisions(output)["decision"].to_pylist() == ["accept"]


def test_an_output_without_slices_is_a_page_too(tmp_path: Path) -> None:
    (tmp_path / "results/objects").mkdir(parents=True)
    with served(tmp_path / "results", tmp_path) as page:
        assert "no screened slices yet" in page.get("/slices").text
        assert "these results are not kept by site" in page.get("/slices?site=north").text
        assert page.get("/objects").status == 200


def test_a_damaged_run_file_is_one_line(page: Client, private: Screened) -> None:
    path = path_of("picture", private, "ward/ct.dcm")
    (private.output / f"runs/{SECOND}.json").write_text("{}")
    for answer in (page.get("/slices"), page.get(path)):
        assert "not the file of a run" in answer.text


def test_results_that_cannot_be_read_are_one_line(page: Client, private: Screened) -> None:
    for part in (private.output / "slices").rglob("*.parquet"):
        part.write_bytes(b"PAR1 nothing PAR1")
    answer = page.get(f"/slice/{quote(private.ids['ward/ct.dcm'])}/0?low=0.2")
    assert answer.status == 503
    assert "cannot be read or written" in answer.text
    assert str(private.output) not in answer.text
