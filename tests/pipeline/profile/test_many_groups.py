"""A profile of a thousand groups: read as a whole, and only a few banks are in memory at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from s2sw.pipeline.profile import ranking
from s2sw.pipeline.profile.banks import GroupBank, read_bank
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace, Subject
from s2sw.pipeline.profile.ranking import ProfileRanking
from s2sw.schemas.profile import GroupRecord
from s2sw.schemas.storage import StorageSettings
from tests.pipeline.profile.test_building import PATCHES, sampled, seen
from tests.pipeline.profile.test_similar import bank, place_of
from tests.support.finished_runs import FIRST
from tests.support.rows import made_id

GROUPS, KEPT = 1000, 5
NAMES = [f"MR/PART{number}/axial" for number in range(GROUPS)]


def of_many_groups(folder: Path) -> ProfilePlace:
    """Write a profile whose groups all have the same bank."""
    place = place_of(folder)
    (group,) = place.record.groups
    groups = [group.model_copy(update={"name": name}) for name in NAMES]
    profile = place.folder()
    profile.write(place.record.with_groups(groups, gone=(group.name,)), place.record)
    return ProfilePlace(profile.address, StorageSettings(), profile.read())


def test_a_thousand_groups_rank_with_few_banks_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = of_many_groups(tmp_path)
    assert len(place.record.groups) == GROUPS
    monkeypatch.setattr(ranking, "CACHE_BYTES", KEPT * ranking._size(bank(place)))
    read: list[str] = []

    def noted(folder: ProfileFolder, group: GroupRecord, patches: int) -> GroupBank:
        read.append(group.name)
        return read_bank(folder, group, patches)

    monkeypatch.setattr(ranking, "read_bank", noted)
    ranks = ProfileRanking(place, PATCHES)
    view = seen(sampled(900, ("MR/BRAIN/axial",)))
    found = [ranks.rank(Subject(made_id(FIRST, 900), "", (name,)), [view]) for name in NAMES]
    assert read == NAMES
    assert len(ranks._kept) == KEPT
    first = found[0]
    assert first is not None
    for name, one in zip(NAMES, found, strict=True):
        assert one is not None
        assert replace(one, group="", tokens=first.tokens) == replace(first, group="")
        assert one.group == name
    assert ranks.rank(Subject(made_id(FIRST, 901), "", (NAMES[-1],)), [view]) is not None
    assert len(read) == GROUPS, "it was still in memory"
