"""Which sampled pictures a group's bank holds, and which groups there are."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from s2sw.model.rarity.features import Features
from s2sw.model.rarity.seeding import WHOLE
from s2sw.pipeline.profile.bank_header import Pictures
from s2sw.pipeline.profile.place import Subject
from s2sw.schemas.profile import LEAST_PICTURES, MOST_PICTURES, GroupRecord

LEAST_OWNERS = 3
"""Objects or cases of a group: fewer could not vouch for each other."""


@dataclass(frozen=True)
class Sampled:
    """One sampled view of a slice, or a spoilt one.

    features: reads what it is compared by. tokens: float32 (N,). size, contrast: of a defect. area, mm2: of
    a spoilt view, in pixels as stored, and where that is known. view: 0 for the whole. tiles: that the slice
    has.
    """

    owner: str
    slice_index: int
    case: str
    groups: tuple[str, ...]
    score: float
    tokens: NDArray[np.float32]
    features: Callable[[], Features]
    size: float = 0.0
    contrast: float = 0.0
    area: float = 0.0
    mm2: float | None = None
    view: int = 0
    tiles: int = 0

    @property
    def is_whole_change(self) -> bool:
        """Whether all of the picture was changed, not a place of it."""
        return self.size >= WHOLE

    @property
    def subject(self) -> Subject:
        """What it is for a profile."""
        return Subject(self.owner, self.case, self.groups)


@dataclass(frozen=True)
class Kept:
    """A picture that is in a bank already. row: where."""

    owner: str
    slice_index: int
    view: int
    case: str
    row: int


Picture = Sampled | Kept
P = TypeVar("P", bound=Picture)


@dataclass(frozen=True)
class Reviewed:
    """What reviewers said. normal: object and slice of what is none; findings: ids of objects with one."""

    normal: frozenset[tuple[str, int]] = frozenset()
    findings: frozenset[str] = frozenset()


NOTHING_SAID = Reviewed()


@dataclass(frozen=True)
class Draft:
    """A group to be built: its name and the pictures of its bank, in order. before: what it was until now."""

    name: str
    pictures: Sequence[Picture]
    before: GroupRecord | None = None


def drafts(
    sampled: Iterable[Sampled], known: Iterable[str] = (), reviewed: Reviewed = NOTHING_SAID
) -> list[Draft]:
    """Return the groups that these slices make and that are not known yet, by name.

    Own groups with LEAST_PICTURES slices; of what is left, the nearest groups above that have them.
    """
    everything = [one for one in sampled if one.owner not in reviewed.findings]
    members = members_of(everything)
    fit = {name for name, own in members.items() if is_enough(own)}
    needed = {name for one in everything for name in [n for n in one.groups if n in fit][:1]}
    return [Draft(name, chosen(members[name], reviewed)) for name in sorted(needed - set(known))]


def grown(
    group: GroupRecord, pictures: Pictures, members: Iterable[Sampled], reviewed: Reviewed
) -> Draft | None:
    """Return a known group with later pictures; None where it stays as it is.

    pictures: whose those of its bank are. members: sampled slices of the group. Objects of the bank keep
    their slices, others come in by the rule of a new bank: of single pictures it is the same whether nights
    are added one by one or at once.
    """
    named = zip(*pictures, strict=True)
    kept = [Kept(owner, index, view, case, row) for row, (owner, case, index, view) in enumerate(named)]
    owners = {one.owner for one in kept}
    union: list[Picture] = [*kept, *(one for one in members if one.owner not in owners)]
    found = chosen([one for one in union if one.owner not in reviewed.findings], reviewed)
    return None if found == kept else Draft(group.name, found, group)


def members_of(slices: Iterable[Sampled]) -> dict[str, list[Sampled]]:
    """Return the slices of each group that any of them may be in."""
    members: defaultdict[str, list[Sampled]] = defaultdict(list)
    for one in slices:
        for name in one.groups:
            members[name].append(one)
    return dict(members)


def chosen(slices: Sequence[P], reviewed: Reviewed = NOTHING_SAID) -> list[P]:
    """Return the pictures of a bank: of each object one, then a second of each, and so on, by hashes.

    What reviewers called normal comes before all others.
    """
    turns: Counter[str] = Counter()
    ordered = []
    for one in sorted(slices, key=_hash):
        unsaid = (one.owner, one.slice_index) not in reviewed.normal
        ordered.append((unsaid, turns[one.owner], one.owner, one))
        turns[one.owner] += 1
    return [one for *_, one in sorted(ordered, key=lambda entry: entry[:3])][:MOST_PICTURES]


def _hash(one: Picture) -> bytes:
    view = f" {one.view}" if one.view else ""
    return hashlib.sha256(f"{one.owner} {one.slice_index}{view}".encode()).digest()


def is_enough(slices: Sequence[Picture]) -> bool:
    """Tell whether slices make a group."""
    return len(slices) >= LEAST_PICTURES and len({one.case or one.owner for one in slices}) >= LEAST_OWNERS
