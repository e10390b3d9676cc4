"""Addresses leave no private record, paths of a job file mean what its author meant."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.flagging import FlagGroup
from s2sw.schemas.marks import Address, LocalPath, ShownText, expand_places, without_addresses
from s2sw.schemas.strict import Strict

SECRET = "doe^jane"
FULL: dict[str, Any] = {
    "source": f"/{SECRET}", "output": f"s3://{SECRET}/out", "bundle": f"/{SECRET}", "until": "06:00",
    "private_dir": f"/{SECRET}", "metrics_file": f"/{SECRET}", "storage": {"endpoint_url": f"http://{SECRET}"},
    "classes": {"rules": {f"/{SECRET}/*": "bottle"}, "name": "cable"},
    "flag": {"threshold": 0.5, "groups": [{"site": "north", "modality": "CT", "threshold": 0.7}]},
    "cluster": {"address": f"ray://{SECRET}:10001", "temp_dir": f"/{SECRET}", "workers": 3},
    "parts": {"site": "north"},
}  # fmt: skip


def test_addresses_are_blanked_and_words_stay() -> None:
    described = without_addresses(ScreenConfig.model_validate(FULL))
    assert SECRET not in str(described)
    assert described["classes"] == {"rules": ["bottle"], "folders": False, "name": "cable"}
    assert described["flag"]["groups"] == [{"site": "north", "modality": "CT", "threshold": 0.7}]
    assert (described["until"], described["mode"], described["parts"]["site"]) == (
        "06:00",
        "private",
        "north",
    )
    assert described["cluster"]["workers"] == 3
    assert set(described) == set(ScreenConfig.model_fields)


def test_a_new_text_field_is_blanked_until_it_is_marked() -> None:
    class Section(Strict):
        plain: str = SECRET
        several: tuple[str, ...] = (SECRET,)
        named: dict[str, str] = Field({SECRET: SECRET})
        shown: ShownText = "word"
        optional: ShownText | None = "word"

    class Grown(ScreenConfig):
        contact: str | None = SECRET
        section: Section = Section()
        groups: tuple[FlagGroup, ...] = ()

    described = without_addresses(Grown(source="a", output="b"))
    assert SECRET not in str(described)
    assert described["section"] == {
        "plain": None, "several": [None], "named": [None], "shown": "word", "optional": "word",
    }  # fmt: skip


class Part(BaseModel):
    folder: LocalPath = ""


class File(BaseModel):
    place: Address | None = None
    part: Part = Part()
    word: str = ""


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("archive", "/jobs/archive"),
        ("../archive", "/jobs/../archive"),
        ("/archive", "/archive"),
        ("~/archive", "/home/ada/archive"),
        ("$LAKE/2026", "/lake/2026"),
        ("s3://$BUCKET/2026", "s3://scans/2026"),
    ],
)
def test_paths_of_a_file(written: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HOME", "/home/ada"), ("LAKE", "/lake"), ("BUCKET", "scans")):
        monkeypatch.setenv(name, value)
    values = {"place": written, "part": {"folder": written}, "word": "~", "unknown": "~"}
    found = expand_places(values, File, Path("/jobs"))
    assert found["place"] == meant
    assert found["word"] == found["unknown"] == "~"
    if "://" not in written:
        assert found["part"] == {"folder": meant}


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ValueError, match=r"'folder': the environment variable \$NOWHERE is not set"):
        expand_places({"part": {"folder": "$NOWHERE/x"}}, File, Path("/jobs"))


def test_the_embedded_bundle_is_no_path() -> None:
    assert expand_places({"bundle": "embedded"}, ScreenConfig, Path("/jobs")) == {"bundle": "embedded"}
