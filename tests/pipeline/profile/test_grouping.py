"""Which group and case a slice is of: by codes, by folders or a pattern, keyed and without free text."""

import numpy as np
import pytest
from pydantic import ValidationError

from s2sw.connectors.slices import ObjectFacts, Slice
from s2sw.pipeline.profile.grouping import LEVELS, Grouping, grouping
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
    ("key", "pattern"), [("pattern", "cam(\\d)"), ("case", "("), ("case", "(?P<group>a)")]
)
def test_a_pattern_that_names_nothing_is_refused(key: str, pattern: str) -> None:
    with pytest.raises(ValidationError, match=key):
        GroupSettings(**{key: pattern})  # type: ignore[arg-type]
