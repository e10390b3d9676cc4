"""Later pictures enter a bank by the same rule by which it was made, and what has a finding stays out."""

from pathlib import Path

import pytest
import torch

from s2sw.pipeline.profile import drafting
from s2sw.pipeline.profile.banks import GroupBank, read_bank, write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge
from s2sw.pipeline.profile.drafting import NOTHING_SAID, Draft, Reviewed, Sampled, drafts, grown
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.schemas.config import GroupSettings
from s2sw.schemas.profile import LEAST_PICTURES, GroupRecord, ProfileRecord, bank_file
from s2sw.schemas.storage import StorageSettings
from tests.pipeline.profile.test_building import PATCHES, sampled

MOST = 48
A_YEAR = [sampled(n, ("a",), f"{(n * 7919) % 1000:04}") for n in range(84)]
FIRST, SECOND, THIRD = A_YEAR[:36], A_YEAR[36:64], A_YEAR[64:]


@pytest.fixture(autouse=True)
def small_banks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "MOST_PICTURES", MOST)


def named(bank: GroupBank) -> list[tuple[str, int]]:
    return list(zip(bank.owners, bank.slices, strict=True))


def first_night(slices: list[Sampled]) -> tuple[GroupRecord, GroupBank]:
    (draft,) = drafts(slices)
    return kept_as(draft, bank_of(draft))


def kept_as(draft: Draft, bank: GroupBank) -> tuple[GroupRecord, GroupBank]:
    judged = judge(bank, [], draft.before)
    assert judged is not None
    return group_record(draft, bank_file(draft.name.encode()), judged, "", "now"), bank


def next_night(
    group: GroupRecord, bank: GroupBank, slices: list[Sampled], reviewed: Reviewed = NOTHING_SAID
) -> tuple[GroupRecord, GroupBank]:
    draft = grown(group, (bank.owners, bank.cases, bank.slices, bank.views), slices, reviewed)
    assert draft is not None
    return kept_as(draft, bank_of(draft, bank))


def test_nights_one_by_one_make_the_same_bank_as_all_at_once() -> None:
    start = first_night(FIRST)
    one_by_one = next_night(*next_night(*start, SECOND), THIRD)
    at_once = next_night(*start, [*THIRD, *FIRST, *SECOND])
    anew = first_night(A_YEAR)
    for found in (one_by_one, at_once):
        assert named(found[1]) == named(anew[1])
        assert torch.equal(found[1].scores, anew[1].scores)
        assert torch.equal(found[1].tokens, anew[1].tokens)
    assert one_by_one[0] == at_once[0]
    for own, other in zip(one_by_one[1].bank.patches, at_once[1].bank.patches, strict=True):
        assert torch.equal(own, other)
    assert torch.equal(one_by_one[1].bank.bases[0], start[1].bank.bases[0])


def test_later_pictures_are_compared_as_those_of_the_first_night() -> None:
    """What is new lies where the rule puts it, with its own patches, description and score."""
    _, bank = next_night(*first_night(FIRST), SECOND)
    new = {(one.owner, one.slice_index): one for one in SECOND}
    rows = [row for row, name in enumerate(named(bank)) if name in new]
    assert len(rows) > 10
    for row in rows[::5]:
        one = new[named(bank)[row]]
        features = one.features()
        assert torch.equal(bank.bank.descriptions[row], features.description)
        assert float(bank.scores[row]) == pytest.approx(one.score)
        for kept, own in zip(bank.bank.own(row), bank.bank.of_picture(features), strict=True):
            assert float((kept * own).sum(dim=-1).min()) > 0.999


def test_a_night_without_news_changes_nothing() -> None:
    group, bank = first_night(FIRST)
    assert grown(group, (bank.owners, bank.cases, bank.slices, bank.views), FIRST, NOTHING_SAID) is None
    assert grown(group, (bank.owners, bank.cases, bank.slices, bank.views), [], NOTHING_SAID) is None


def test_reviewers_bring_normal_pictures_first_and_keep_findings_out() -> None:
    group, bank = first_night(A_YEAR)
    outside = next(one for one in A_YEAR if one.owner not in bank.owners)
    normal = frozenset({(outside.owner, outside.slice_index)})
    _, other = next_night(group, bank, A_YEAR, Reviewed(normal, frozenset(bank.owners[:3])))
    assert named(other)[0] == (outside.owner, outside.slice_index)
    assert not {*bank.owners[:3]} & {*other.owners}
    assert len(other.owners) == MOST
    assert drafts(FIRST[:LEAST_PICTURES], reviewed=Reviewed(findings=frozenset({FIRST[0].owner}))) == []


def test_the_weight_stays_where_no_defects_can_be_seeded() -> None:
    group, bank = first_night(FIRST)
    group = group.model_copy(update={"weight": 0.3})
    assert next_night(group, bank, SECOND)[0].weight == 0.3


def record(*groups: GroupRecord) -> ProfileRecord:
    return ProfileRecord(
        detector="dino", bundle="b", precision="fp32", decode="0" * 64, key_id="", created="now", listed=1,
        settings=GroupSettings(),
    ).with_groups(groups)  # fmt: skip


def test_groups_that_change_give_another_fingerprint_and_added_ones_do_not() -> None:
    group, bank = first_night(FIRST)
    other = group.model_copy(update={"name": "b"})
    first = record(group)
    added = first.with_groups([other])
    assert added.fingerprint == first.fingerprint
    assert [one.founding for one in added.groups] == [True, False]
    changed = added.with_groups([next_night(group, bank, SECOND)[0]])
    assert changed.fingerprint not in ("", first.fingerprint)
    assert all(one.founding for one in changed.groups)
    assert {one.name for one in added.with_groups([], gone={"a"}).groups} == {"b"}
    assert added.with_groups([]) == added


def test_files_of_the_record_before_stay_and_older_ones_go(tmp_path: Path) -> None:
    """A run may read the banks of the record that it started with."""
    folder = ProfileFolder(str(tmp_path), StorageSettings())
    records: list[ProfileRecord] = []
    group, bank = first_night(FIRST)
    for night in ([], SECOND, THIRD):
        group, bank = next_night(group, bank, night) if night else (group, bank)
        file = write_bank(folder, bank)
        group = group.model_copy(update={"file": file.name, "sha256": file.sha256})
        records.append(record(group))
        folder.write(records[-1], records[-2] if len(records) > 1 else None)
    left = {f"groups/{path.name}" for path in (tmp_path / "groups").iterdir()}
    assert left == {one.file for last in records[1:] for one in last.groups}
    for last in records[1:]:
        read_bank(folder, last.groups[0], PATCHES)
