"""Which group and case a slice is of: by codes, by folders or a pattern, keyed and without free text."""

import numpy as np
import pytest
from pydantic import ValidationError

from s2sw.connectors.slices import ObjectFacts, Slice
from s2sw.pipeline.profile.grouping import LEVELS, Grouping, grouping, is_keyed
from s2sw.schemas.config import GroupSettings

KEY = bytes(32)


def picture(**facts: object) -> Slice:
    return Slice(np.zeros((4, 4), np.uint8), str(facts.pop("plane", "image")), **facts)  # type: ignore[arg-type]


def of(**settings: object) -> Grouping:
    return grouping(GroupSettings(**settings), "s3://lake/line", KEY)  # type: ignore[arg-type]


def test_codes_group_from_the_own_to_the_most_general() -> None:
    head = picture(modality="MR", body_part="BRAIN", plane="axial")
    assert of().groups("s3://lake/line/a/b.dcm", head) == ["MR/BRAIN/axial", "MR/BRAIN", "MR"]
    assert of(columns=("modality", "plane")).groups("x", head) == ["MR/axial", "MR"]
    named = picture(modality="MR", body_part="DOE^JANE")
    assert of().groups("x", named) == ["MR/other/image", "MR/other", "MR"]


def test_views_sides_and_kinds_of_series_group_where_they_are_asked_for() -> None:
    hand = picture(
        modality="DX", body_part="HAND", view_position="pa", laterality="L", series_kind=("DOE", "")
    )
    assert of().groups("x", hand) == ["DX/HAND/image", "DX/HAND", "DX"]
    by_view = of(columns=("modality", "view", "laterality"))
    assert by_view.groups("x", hand) == ["DX/PA/L", "DX/PA", "DX"]
    named = picture(modality="DX", view_position="DOE^JANE", laterality="RIGHT")
    assert by_view.groups("x", named)[0] == "DX/other/other"
    assert by_view.groups("x", picture(modality="DX"))[0] == "DX/-/-"
    by_series = of(columns=("modality", "series"))
    assert by_series.groups("x", hand)[0] == "DX/other"
    head = picture(modality="MR", series_kind=("M", "", "IR", "SE"))
    assert by_series.groups("x", head)[0] == "MR/IR-SE"


SITE = r"/(?P<site>[a-z]+)-clinic/"


def test_a_pattern_names_the_site_which_no_name_shows() -> None:
    by_site = of(columns=("modality", "site"), site=SITE)

    def groups(address: str, **facts: object) -> list[str]:
        return by_site.groups(f"s3://lake/line/{address}", picture(**facts))

    own = groups("north-clinic/a/1.dcm", modality="MR")
    assert own == groups("north-clinic/b/2.dcm", modality="MR")
    assert own[0].startswith("MR/site-")
    assert own[1] == "MR"
    assert own[0] != groups("south-clinic/a/1.dcm", modality="MR")[0]
    assert groups("elsewhere/1.dcm", modality="MR") == ["MR/-", "MR"]
    assert not any("north" in name for name in own)
    assert [is_keyed(name) for name in own] == [True, False]
    other_key = grouping(by_site.settings, "s3://lake/line", bytes([1]) * 32)
    north = "s3://lake/line/north-clinic/a/1.dcm"
    assert other_key.groups(north, picture(modality="MR"))[0] != own[0]
    assert by_site.label(own[0], north) == "site north"
    assert by_site.label(own[1], north) == ""


def test_pictures_without_a_modality_are_grouped_by_site_below_their_kind() -> None:
    both = of(columns=("modality", "site"), site=SITE, pattern=r"cam(?P<group>\d)")
    north, south = (f"s3://lake/line/{site}-clinic/cam2.png" for site in ("north", "south"))
    own, other = (both.groups(address, picture()) for address in (north, south))
    assert len(own) == 2
    assert own[0] != other[0]
    assert own[1] == other[1] == of(pattern=r"cam(?P<group>\d)").groups(north, picture())[0]
    assert all(map(is_keyed, own))
    assert both.label(own[0], north) == "2, site north"
    assert both.label(own[1], north) == "2"
    assert both.groups("s3://lake/line/cam2.png", picture()) == own[1:]


def test_folders_group_pictures_and_fall_back_to_those_above() -> None:
    def groups(address: str) -> list[str]:
        return of().groups(f"s3://lake/line/{address}", picture())

    own = groups("day1/cam2/0.png")
    assert len(own) == 3
    assert groups("day1/cam2/1.png") == own
    assert groups("day1/3.png") == own[1:]
    assert groups("3.png") == own[2:]
    assert groups("day2/cam2/0.png")[:2] != own[:2]
    assert groups("day2/cam2/0.png")[2] == own[2]
    deep = groups("/".join("abcdefghij") + "/0.png")
    assert len(deep) == LEVELS + 2
    assert deep[-1] == own[-1]
    assert not any("day1" in name or "cam2" in name for name in own)


def test_names_depend_on_the_key() -> None:
    open_mode = grouping(GroupSettings(), "s3://lake/line", None)
    address = "s3://lake/line/day1/0.png"
    assert open_mode.groups(address, picture()) != of().groups(address, picture())
    assert of().label(of().groups(address, picture())[0], address) == "day1"


def test_a_pattern_names_the_kind() -> None:
    by_camera = of(pattern=r"cam(?P<group>\d)")
    first = by_camera.groups("s3://lake/line/day1/cam2/0.png", picture())
    assert first == by_camera.groups("s3://lake/line/day9/cam2_5.png", picture())
    assert first != by_camera.groups("s3://lake/line/day1/cam3/0.png", picture())
    assert by_camera.groups("s3://lake/line/other.png", picture()) == []


def test_cases_are_patients_or_what_a_pattern_names() -> None:
    one, other = (picture(facts=ObjectFacts(patient=name * 32)) for name in (b"1", b"2"))
    assert of().case("x", one) == of().case("y", one) != of().case("x", other)
    assert of().case("x", picture()) == ""
    lots = of(case=r"lot(?P<case>\d+)_")
    assert lots.case("a/lot7_1.png", picture()) == lots.case("b/lot7_2.png", picture()) != ""
    assert lots.case("a/lot7_1.png", picture()) != lots.case("a/lot8_1.png", picture())


@pytest.mark.parametrize(
    ("key", "pattern"),
    [("pattern", "cam(\\d)"), ("case", "("), ("case", "(?P<group>a)"), ("site", "(?P<group>a)")],
)
def test_a_pattern_that_names_nothing_is_refused(key: str, pattern: str) -> None:
    with pytest.raises(ValidationError, match=key):
        GroupSettings(**{key: pattern})  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"site": SITE}, {"columns": ("modality", "site")}])
def test_a_site_needs_both_its_column_and_its_pattern(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="the column site needs the pattern site"):
        GroupSettings(**settings)  # type: ignore[arg-type]


def test_settings_without_a_site_are_the_facts_of_earlier_versions() -> None:
    assert set(GroupSettings().facts()) == {"columns", "pattern", "case"}
    assert GroupSettings(columns=("site",), site=SITE).facts()["site"] == SITE
