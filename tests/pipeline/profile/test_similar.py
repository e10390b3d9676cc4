"""Which pictures of a bank are named beside a slice: the most alike of other objects, one of each case."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from s2sw.pipeline.profile.anonymous import copy_anonymous
from s2sw.pipeline.profile.banks import GroupBank, read_bank, write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge
from s2sw.pipeline.profile.drafting import drafts
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace, Subject
from s2sw.pipeline.profile.ranking import SHOWN, ProfileRanking, Ranked
from s2sw.pipeline.stages.detecting import _ranks
from s2sw.schemas.config import GroupSettings
from s2sw.schemas.profile import ProfileRecord
from s2sw.schemas.storage import StorageSettings
from tests.pipeline.profile.test_building import PATCHES, sampled, seen
from tests.support.finished_runs import FIRST
from tests.support.rows import made_id

CODES = "MR/BRAIN/axial"
PICTURES = 40


def place_of(folder: Path, **names: tuple[object, ...]) -> ProfilePlace:
    """Write a profile of one group; of its bank some of owners, cases and slices are these."""
    pictures = [sampled(n, (CODES,), made_id(FIRST, n), n % 3) for n in range(PICTURES)]
    (draft,) = drafts(pictures)
    kept = bank_of(draft)
    judged = judge(kept, [])
    assert judged is not None
    profile = ProfileFolder(str(folder), StorageSettings())
    group = group_record(draft, write_bank(profile, replace(kept, **names)), judged, "", "now")
    facts = {"detector": "dino", "bundle": "b", "precision": "fp32", "decode": "0" * 64, "created": "now"}
    record = ProfileRecord(**facts, key_id="", listed=PICTURES, settings=GroupSettings()).with_groups([group])
    profile.write(record)
    return ProfilePlace(profile.address, StorageSettings(), record)


def ranked(place: ProfilePlace, owner: str = "", case: str = "") -> Ranked:
    one = sampled(900, (CODES,))
    found = ProfileRanking(place, PATCHES).rank(
        Subject(owner or made_id(FIRST, 900), case, (CODES,)), [seen(one)]
    )
    assert found is not None
    return found


def bank(place: ProfilePlace) -> GroupBank:
    return read_bank(place.folder(), place.record.groups[0], PATCHES)


def by_likeness(kept: GroupBank) -> list[int]:
    """Return the rows of a bank, those most like the slice first."""
    cosine = [float(one @ sampled(900, (CODES,)).features().description) for one in kept.bank.descriptions]
    return sorted(range(PICTURES), key=lambda row: -cosine[row])


def test_the_most_alike_are_named_in_their_order(tmp_path: Path) -> None:
    place = place_of(tmp_path)
    kept = bank(place)
    expected = [(kept.owners[row], kept.slices[row]) for row in by_likeness(kept)]
    found = ranked(place)
    assert list(found.similar) == expected[:SHOWN]
    assert _ranks(found)["similar_pictures"][0] == {
        "object_id": expected[0][0],
        "slice_index": expected[0][1],
    }
    assert list(ranked(place, expected[0][0]).similar) == expected[1 : SHOWN + 1]  # never its own object


def test_of_a_case_one_is_named_and_of_its_own_none(tmp_path: Path) -> None:
    cases = tuple(f"case{n % 6}" for n in range(PICTURES))
    place = place_of(tmp_path, cases=cases)
    kept = bank(place)
    first = {}
    for row in by_likeness(kept):
        first.setdefault(kept.cases[row], kept.owners[row])
    assert [owner for owner, _ in ranked(place).similar] == list(first.values())[:SHOWN]
    own = next(iter(first))
    assert [owner for owner, _ in ranked(place, case=own).similar] == list(first.values())[1 : SHOWN + 1]


def test_a_copy_without_ids_names_none_and_ranks_the_same(tmp_path: Path) -> None:
    place = place_of(tmp_path / "own")
    there = ProfileFolder(str(tmp_path / "copy"), StorageSettings())
    record = copy_anonymous(place.folder(), there, PATCHES)
    found = ranked(ProfilePlace(there.address, StorageSettings(), record))
    assert found.similar == ()
    assert _ranks(found)["similar_pictures"] is None
    assert found.rank == ranked(place).rank


@pytest.mark.parametrize(
    "names",
    [
        {"owners": tuple(f"<script>{n}" for n in range(PICTURES))},
        {"slices": (1 << 40,) * PICTURES},
        {"slices": (-1,) * PICTURES},
    ],
    ids=["no id", "too far", "negative"],
)
def test_what_no_run_could_have_named_is_left_out(
    tmp_path: Path, names: dict[str, tuple[object, ...]]
) -> None:
    found = ranked(place_of(tmp_path, **names))
    assert found.similar == ()
    assert torch.isfinite(found.tokens).all()
