"""The page of a profile: limits drawn where they belong, texts escaped, pictures found again by their ids."""

from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from rich.console import Console

from s2sw.pipeline.privacy.ids import object_ids
from s2sw.pipeline.profile.banks import write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge
from s2sw.pipeline.profile.drafting import drafts
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.typical import by_rarity
from s2sw.pipeline.reports.profile_page import (
    Looks,
    Shown,
    bands,
    limits_chart,
    profile_page,
    size_words,
)
from s2sw.pipeline.reports.profile_pictures import SHOWN, looks_of
from s2sw.pipeline.reports.profile_tables import limits_table
from s2sw.schemas.config import GroupSettings, ScreenConfig
from s2sw.schemas.profile import ExtentRecord, GroupRecord, LimitRecord, LineRecord, ProfileRecord
from s2sw.schemas.storage import StorageSettings
from tests.pipeline.profile.test_building import PATCHES, sampled
from tests.support.archives import encoded, texture
from tests.support.threads import one_thread as one_thread

LIMITS = (
    LimitRecord(size=0.002, contrast=0.06, seeds=20, found=2),
    LimitRecord(size=0.002, contrast=1, seeds=20, found=10),
    LimitRecord(size=1, contrast=1, seeds=20, found=20),
)


def group(**changes: object) -> GroupRecord:
    line = LineRecord(offset=0, scale=1)
    entries = dict.fromkeys(("patches", "token", "picture", "score", "rank", "map"), line) | {
        "name": "a", "file": f"groups/{'a' * 26}.safetensors", "sha256": "0" * 64, "pictures": 40,
        "objects": 40, "resemblance": 1, "weight": 0.5, "taps": (line, line), "limits": LIMITS,
    }  # fmt: skip
    return GroupRecord(**entries | changes)


def record(*groups: GroupRecord) -> ProfileRecord:
    return ProfileRecord(
        detector="dino", bundle="b", precision="fp32", decode="0" * 64, key_id="", created="now", listed=40,
        settings=GroupSettings(), groups=groups,
    ).named()  # fmt: skip


def test_shares_lie_higher_the_more_was_found_and_inside_their_intervals() -> None:
    drawing = fromstring(limits_chart(group(), 0))
    dots = [float(dot.get("cy", 0)) for dot in drawing.iter("circle")]
    lines = [
        (float(line.get("y1", 0)), float(line.get("y2", 0)))
        for line in drawing.iter("line")
        if "curve" in line.get("class", "")
    ]
    assert dots[0] > dots[1] > dots[2]  # rows count from above
    assert all(high <= dot <= low for dot, (low, high) in zip(dots, lines, strict=True))
    assert len({dot.get("class") for dot in drawing.iter("circle")}) == 2
    assert "2 of 20 (3% to 30%)" in drawing.findtext("desc", "")


def test_sizes_are_told_in_pixels_and_in_mm_where_all_pictures_say_it() -> None:
    for extent, words in (
        (None, "0.2%"),
        (ExtentRecord(pixels=500), "0.2% (25 px across)"),  # of a disc: 500 * sqrt(0.002 * 4 / pi)
        (ExtentRecord(pixels=500, mm=250), "0.2% (25 px, 12.6 mm across)"),
    ):
        drawn = as_text(limits_chart(group(extent=extent), 0))
        assert f"area up to {words}, contrast" in drawn
        assert size_words(0.002, extent) == words
    assert size_words(1.0, ExtentRecord(pixels=500)) == "100.0%"  # no bound


def test_changes_of_whole_pictures_stand_apart() -> None:
    whole = LimitRecord(size=1, contrast=1, seeds=10, found=1, whole=True)
    both = group(limits=(*LIMITS, whole), extent=ExtentRecord(pixels=500))
    assert bands(both) == [(False, 0.002), (False, 1), (True, 1)]
    drawn = limits_chart(both, 0)
    assert "area whole picture, contrast up to 1: 1 of 10" in as_text(drawn)
    places = {float(dot.get("cx", 0)) for dot in fromstring(drawn).iter("circle")}
    assert len(places) == 4
    table = Console(width=400, highlight=False)
    with table.capture() as printed:
        table.print(limits_table(both))
    rows = [line for line in printed.get().splitlines() if " of " in line]
    assert [row.split("│")[1].strip() for row in rows[-3:]] == [
        "up to 0.2% (25 px across)",
        "up to 100.0%",
        "whole picture",
    ]
    assert "1 of 10" in rows[-1]
    assert "20 of 20" in rows[-2]


def as_text(drawing: str) -> str:
    return fromstring(drawing).findtext("desc", "")


def test_texts_are_escaped_and_groups_without_limits_say_so() -> None:
    page = profile_page(record(group(label="<script>"), group(name="b", limits=())), {})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("No defects could be seeded") == 1
    shown = profile_page(record(group()), {"a": Looks([Shown("data:image/jpeg;base64,AA", "<id>", 0.5)])})
    assert 'alt="&lt;id&gt;"' in shown
    assert "Least typical" not in shown


@pytest.fixture
def config(tmp_path: Path) -> ScreenConfig:
    (tmp_path / "archive").mkdir()
    for number in range(40):
        (tmp_path / "archive" / f"{number}.png").write_bytes(encoded(texture(40, 50, number), "PNG"))
    return ScreenConfig(source=str(tmp_path / "archive"), output=str(tmp_path / "out"), mode="open")


def test_pictures_are_found_again_by_their_ids(config: ScreenConfig, tmp_path: Path) -> None:
    ids = object_ids(None)
    paths = sorted(Path(config.source).iterdir())
    owners = {
        ids(str(path.resolve()), f"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"): path
        for path in paths
    }
    (draft,) = drafts([sampled(n, ("a",), owner) for n, owner in enumerate(owners)])
    kept, folder = bank_of(draft), ProfileFolder(str(tmp_path / "profile"), StorageSettings())
    judged = judge(kept, [])
    assert judged is not None
    made = group_record(draft, write_bank(folder, kept), judged, "", "now")
    ordered = by_rarity(made, kept)
    assert len(ordered) == 40
    assert sum(value for value, _ in ordered) / 40 == pytest.approx(0, abs=1e-3)  # deviations of their own
    gone = kept.owners[ordered[0][1]]
    owners[gone].unlink()
    owners[kept.owners[ordered[1][1]]].write_bytes(b"no picture any more")  # another version, another id
    looks = looks_of(folder, record(made), config, PATCHES)["a"]
    assert [one.name for one in looks.typical] == [kept.owners[row] for _, row in ordered[2:SHOWN]]
    assert [one.rarity for one in looks.unlike] == sorted(
        (value for value, _ in ordered[-SHOWN:]), reverse=True
    )
    assert all(one.uri.startswith("data:image/jpeg") for one in (*looks.typical, *looks.unlike))
