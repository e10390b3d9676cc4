"""From sampled slices to groups: what a bank holds, what is usual in it, and how much rarity counts."""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.rarity.bank import make_bank
from s2sw.model.rarity.choosing import LEAST_SEEDS, choose_weight, detection_limits, resemblance
from s2sw.model.rarity.combination import (
    Combination,
    Evidence,
    Line,
    combination_of,
    evidence_of,
    picture_sum,
    usual_of,
)
from s2sw.model.rarity.features import Features
from s2sw.pipeline.profile.bank_header import Pictures
from s2sw.pipeline.profile.banks import GroupBank
from s2sw.pipeline.profile.place import Subject
from s2sw.pipeline.profile.ranking import compared, own_row
from s2sw.schemas.profile import (
    LEAST_PICTURES,
    MOST_PICTURES,
    BankFile,
    GroupRecord,
    LimitRecord,
    LineRecord,
)

LEAST_OWNERS = 3
"""Objects or cases of a group: fewer could not vouch for each other."""
JUDGED = 96
"""Pictures of a bank at most that say what is usual in it."""
UNLIKE = 3.0
"""Resemblance from which pictures of a group do not tell of each other: rarity then counts nothing.

Measured (docs/profile.md): where rarity helped 0.13, 1.2 and 2.1, where it harmed 4.3 and 12.
"""


@dataclass(frozen=True)
class Sampled:
    """One sampled slice, or a spoilt one. features: reads what it is compared by. tokens: float32 (N,)."""

    owner: str
    slice_index: int
    case: str
    groups: tuple[str, ...]
    score: float
    tokens: NDArray[np.float32]
    features: Callable[[], Features]
    size: float = 0.0
    contrast: float = 0.0

    @property
    def subject(self) -> Subject:
        """What it is for a profile."""
        return Subject(self.owner, self.case, self.groups)


@dataclass(frozen=True)
class Kept:
    """A picture that is in a bank already. row: where."""

    owner: str
    slice_index: int
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
    kept = [Kept(owner, index, case, row) for row, (owner, case, index) in enumerate(named)]
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
    return hashlib.sha256(f"{one.owner} {one.slice_index}".encode()).digest()


def is_enough(slices: Sequence[Picture]) -> bool:
    """Tell whether slices make a group."""
    return len(slices) >= LEAST_PICTURES and len({one.case or one.owner for one in slices}) >= LEAST_OWNERS


def bank_of(draft: Draft, before: GroupBank | None = None) -> GroupBank:
    """Return the bank of a draft. before: the one it grows from, whose components stay."""
    new = [one for one in draft.pictures if isinstance(one, Sampled)]
    features = [one.features() for one in new]
    scores = torch.tensor([one.score for one in new])
    tokens = torch.from_numpy(np.stack([one.tokens for one in new])) if new else torch.empty(0)
    bank = make_bank(features) if before is None else before.bank.joined(features)
    if before is not None:
        scores = torch.cat([before.scores, scores])
        tokens = torch.cat([before.tokens, tokens]) if new else before.tokens
    later = itertools.count(len(before.owners) if before else 0)
    rows = [one.row if isinstance(one, Kept) else next(later) for one in draft.pictures]
    return GroupBank(
        bank.of_rows(rows),
        tuple(one.owner for one in draft.pictures),
        tuple(one.case for one in draft.pictures),
        tuple(one.slice_index for one in draft.pictures),
        scores[rows],
        tokens[rows],
    )


@dataclass(frozen=True)
class Judged:
    """What a bank says of its own pictures and of spoilt ones.

    evidence: on own pictures (n,); spoilt: on spoilt ones (m,). sizes, contrasts: of their defects, (m,).
    """

    combination: Combination
    resemblance: float
    evidence: Evidence
    spoilt: Evidence
    sizes: Tensor
    contrasts: Tensor


def judge(kept: GroupBank, spoilt: Sequence[Sampled], before: GroupRecord | None = None) -> Judged | None:
    """Return what is usual in a bank, and the weight; None where its pictures cannot vouch for each other.

    The first JUDGED pictures are compared with the others. before: what the group was until now, whose weight
    stays where too few defects could be seeded.
    """
    own = {row: own_row(kept, row) for row in range(min(JUDGED, len(kept.owners)))}
    beside = {row: found for row, found in own.items() if found is not None}
    if len(beside) < LEAST_PICTURES // 2:
        return None
    rows, rare = list(beside), torch.stack([found.cpu() for found in beside.values()])
    usual = usual_of(kept.scores[rows], kept.tokens[rows], rare)
    evidence = evidence_of(usual, kept.scores[rows], kept.tokens[rows], rare)
    seeds = [
        (one, found) for one in spoilt if (found := compared(kept, one.subject, one.features())) is not None
    ]
    bad = evidence_of(usual, *_stacked(seeds)) if seeds else Evidence(*(torch.empty(0),) * 4)
    ratio = float(np.median([resemblance(found, kept.bank.own(row)) for row, found in beside.items()]))
    weight = before.weight if before and len(seeds) < LEAST_SEEDS else choose_weight(evidence, bad)
    sizes, contrasts = (torch.tensor([getattr(one, key) for one, _ in seeds]) for key in ("size", "contrast"))
    combination = combination_of(usual, evidence, 0.0 if ratio > UNLIKE else weight)
    return Judged(combination, ratio, evidence, bad, sizes, contrasts)


def _stacked(pairs: Sequence[tuple[Sampled, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.tensor([one.score for one, _ in pairs]),
        torch.stack([torch.from_numpy(one.tokens.copy()) for one, _ in pairs]),
        torch.stack([found.cpu() for _, found in pairs]),
    )


def group_record(draft: Draft, file: BankFile, judged: Judged, label: str, built: str) -> GroupRecord:
    """Return what a profile says of a group."""
    combination, usual = judged.combination, judged.combination.usual
    limits, seeds = draft.before.limits if draft.before else (), len(judged.spoilt.score)
    if seeds >= (LEAST_SEEDS if draft.before else 1):
        own, bad = (picture_sum(of, combination.weight) for of in (judged.evidence, judged.spoilt))
        found = detection_limits(own, bad, judged.sizes, judged.contrasts)
        limits = tuple(LimitRecord(**asdict(limit)) for limit in found)
    return GroupRecord(
        name=draft.name,
        label=label,
        file=file.name,
        sha256=file.sha256,
        pictures=len(draft.pictures),
        objects=len({one.owner for one in draft.pictures}),
        resemblance=judged.resemblance,
        weight=combination.weight,
        taps=tuple(map(_record, usual.taps)),
        patches=_record(usual.patches),
        token=_record(usual.token),
        picture=_record(usual.picture),
        score=_record(usual.score),
        rank=_record(combination.rank),
        map=_record(combination.map),
        limits=limits,
        built=built,
    )


def _record(line: Line) -> LineRecord:
    return LineRecord(offset=line.offset, scale=line.scale)
