"""Which groups are built, of which pictures, and what is kept of them on the way."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s2sw.model.rarity.choosing import CONSTANT
from s2sw.model.rarity.features import Features, features_of
from s2sw.model.rarity.seeding import WHOLE
from s2sw.pipeline.profile.banks import read_bank, write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge
from s2sw.pipeline.profile.drafting import Sampled, chosen, drafts
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace, Subject
from s2sw.pipeline.profile.ranking import ProfileRanking, Seen
from s2sw.pipeline.stages.sampling import pack, unpack
from s2sw.schemas.config import GroupSettings
from s2sw.schemas.profile import LEAST_PICTURES, MOST_PICTURES, PROFILE_VERSION, BankFile, ProfileRecord
from s2sw.schemas.storage import StorageSettings

PATCHES, WIDTH = 25, 12


def features(seed: int) -> Features:
    torch.manual_seed(seed)
    return features_of([torch.ones(1, PATCHES, WIDTH) + torch.randn(1, PATCHES, WIDTH) for _ in range(2)])[0]


def sampled(number: int, groups: tuple[str, ...], owner: str = "", index: int = 0) -> Sampled:
    tokens = np.random.default_rng(number).random(PATCHES, np.float32)
    return Sampled(
        owner or f"o{number:04}", index, "", groups, float(tokens[0]), tokens, lambda: features(number)
    )


def seen(one: Sampled) -> Seen:
    return Seen(one.features(), one.score, one.tokens)


def test_small_groups_fall_back_to_their_parent_and_then_to_none() -> None:
    large = [sampled(n, ("a/1", "a")) for n in range(LEAST_PICTURES)]
    small = [sampled(100 + n, ("a/2", "a")) for n in range(3)]
    alone = [sampled(200 + n, ("b/1", "b")) for n in range(LEAST_PICTURES - 1)]
    found = {draft.name: len(draft.pictures) for draft in drafts([*large, *small, *alone])}
    assert found == {"a/1": LEAST_PICTURES, "a": LEAST_PICTURES + 3}
    assert [draft.name for draft in drafts([*large, *small], known=["a/1"])] == ["a"]
    assert [draft.name for draft in drafts(large)] == ["a/1"]


def test_slices_of_two_objects_cannot_vouch_for_each_other() -> None:
    slices = [sampled(n, ("v",), f"volume{n % 2}", n) for n in range(60)]
    assert drafts(slices) == []


def test_a_bank_takes_one_slice_of_every_object_before_a_second_whatever_came_first() -> None:
    slices = [sampled(n, ("v",), f"volume{n % 40:02}", n // 40) for n in range(400)]
    bank = chosen(slices)
    assert len(bank) == MOST_PICTURES
    assert len({one.owner for one in bank[:40]}) == 40
    assert set(Counter(one.owner for one in bank).values()) <= {MOST_PICTURES // 40, MOST_PICTURES // 40 + 1}
    again = chosen(slices[::-1])
    assert [(one.owner, one.slice_index) for one in again] == [(one.owner, one.slice_index) for one in bank]


def test_features_come_back_from_bytes_in_the_precision_of_int8() -> None:
    own = features(1)
    back = unpack(pack(own))
    assert torch.equal(back.description, own.description)
    for found, expected in zip(back.patches, own.patches, strict=True):
        assert float((found * expected).sum(dim=-1).min()) > 0.999


@pytest.fixture
def place(tmp_path: Path) -> ProfilePlace:
    (draft,) = drafts([sampled(n, ("a",)) for n in range(40)])
    kept = bank_of(draft)
    folder = ProfileFolder(str(tmp_path / "profile"), StorageSettings())
    judged = judge(kept, [])
    assert judged is not None
    group = group_record(draft, write_bank(folder, kept), judged, "", "now")
    record = ProfileRecord(
        detector="dino", bundle="b", precision="fp32", decode="0" * 64, key_id="", created="now", listed=40,
        settings=GroupSettings(), groups=(group,),
    ).named()  # fmt: skip
    folder.write(record)
    assert folder.read() == record
    return ProfilePlace(folder.address, StorageSettings(), record)


def spoilt(number: int, score: float, **change: float) -> Sampled:
    """Return a picture whose patches are as before, with a defect or a change that the score sees or not."""
    return replace(sampled(number, ("a",)), score=score, area=100.0, **change)


def test_changes_of_whole_pictures_are_counted_and_choose_no_weight() -> None:
    (draft,) = drafts([sampled(n, ("a",)) for n in range(40)])
    kept = bank_of(draft)
    defects = [spoilt(n, 0.001, size=0.005, contrast=0.1) for n in range(20)]
    # the score alone sees them: were they to choose, rarity would count less
    changes = [spoilt(n, 0.999, size=WHOLE, contrast=0.1) for n in range(20, 40)]
    alone, both = judge(kept, defects), judge(kept, [*defects, *changes])
    assert alone is not None
    assert both is not None
    assert both.combination == alone.combination
    assert (alone.defects, both.defects, len(both.spoilt.score)) == (20, 20, 40)
    file = BankFile(f"groups/{'a' * 26}.safetensors", "0" * 64)
    limits = group_record(draft, file, both, "", "now").limits
    assert {limit.size for limit in limits if limit.whole} == {WHOLE}
    assert sum(limit.seeds for limit in limits if limit.whole) == 20
    before = group_record(draft, file, alone, "", "now").limits
    assert tuple(limit for limit in limits if not limit.whole) == before
    only = judge(kept, changes)
    assert only is not None
    assert only.combination.weight == CONSTANT  # as where nothing was seeded
    assert all(limit.whole for limit in group_record(draft, file, only, "", "now").limits)


def test_a_profile_ranks_by_the_first_group_it_has(place: ProfilePlace) -> None:
    ranking, one = ProfileRanking(place, PATCHES), sampled(3, ("a",))
    found = ranking.rank(Subject(one.owner, "", ("x", "a")), [seen(one)])
    assert found is not None
    assert (found.group, found.tokens.shape) == ("a", (1, PATCHES))
    stranger = ranking.rank(Subject("new", "", ("a",)), [seen(one)])
    assert stranger is not None
    assert stranger.rarity < found.rarity - 0.3  # its own copy vouches for it
    assert ranking.rank(Subject("new", "", ("x",)), [seen(one)]) is None


def test_what_is_damaged_foreign_or_newer_is_said_in_one_line(place: ProfilePlace) -> None:
    folder = ProfileFolder(place.address, place.storage)
    bank, document = Path(place.address, place.record.groups[0].file), Path(place.address, "profile.json")
    whole, text = bank.read_bytes(), document.read_text()
    bank.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ProfileError, match="was changed since it was built"):
        read_bank(folder, place.record.groups[0], PATCHES)
    bank.unlink()
    with pytest.raises(ProfileError, match="No such file"):
        read_bank(folder, place.record.groups[0], PATCHES)
    newer = json.loads(text)
    newer["profile"]["version"] = 99
    older = json.loads(text)
    older["profile"]["version"] = PROFILE_VERSION - 1
    changed, wrong = (text.replace('"listed": 40', f'"listed": {number}') for number in (41, -1))
    for damaged, words in (
        ("{", "is damaged, or no profile"), ("[]", "is damaged, or no profile"),
        (json.dumps(newer), "version 99"), (json.dumps(older), f"version {PROFILE_VERSION - 1}"),
        (changed, "was changed"), (wrong, "damaged at 'listed'"),
    ):  # fmt: skip
        document.write_text(damaged)
        with pytest.raises(ProfileError, match=words) as error:
            folder.read()
        assert "\n" not in str(error.value)
    document.unlink()
    with pytest.raises(ProfileError, match="s2sw profile build"):
        folder.read()
