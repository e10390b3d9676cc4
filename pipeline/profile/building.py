"""From sampled slices to groups: what a bank holds, what is usual in it, and how much rarity counts."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.rarity.bank import make_bank
from s2sw.model.rarity.choosing import choose_weight, detection_limits, resemblance
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
from s2sw.pipeline.privacy.ids import keyed_name
from s2sw.pipeline.profile.banks import GroupBank
from s2sw.pipeline.profile.place import Subject
from s2sw.pipeline.profile.ranking import compared
from s2sw.schemas.layout import BANK, GROUPS_FOLDER
from s2sw.schemas.profile import LEAST_PICTURES, MOST_PICTURES, GroupRecord, LimitRecord, LineRecord

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
class Draft:
    """A group to be built: its name and the pictures of its bank, in order."""

    name: str
    pictures: list[Sampled]


def drafts(sampled: Iterable[Sampled], known: Iterable[str] = ()) -> list[Draft]:
    """Return the groups that these slices make and that are not known yet, by name.

    Own groups with LEAST_PICTURES slices; of what is left, the nearest groups above that have them.
    """
    everything = list(sampled)
    members: defaultdict[str, list[Sampled]] = defaultdict(list)
    for one in everything:
        for name in one.groups:
            members[name].append(one)
    fit = {name for name, own in members.items() if _is_enough(own)}
    needed = {name for one in everything for name in [n for n in one.groups if n in fit][:1]}
    return [Draft(name, chosen(members[name])) for name in sorted(needed - set(known))]


def chosen(slices: Sequence[Sampled]) -> list[Sampled]:
    """Return the pictures of a bank: of each object one, then a second of each, and so on, by hashes."""
    turns: Counter[str] = Counter()
    ordered = []
    for one in sorted(slices, key=_hash):
        ordered.append((turns[one.owner], one.owner, one))
        turns[one.owner] += 1
    return [one for *_, one in sorted(ordered, key=lambda entry: entry[:2])][:MOST_PICTURES]


def _hash(one: Sampled) -> bytes:
    return hashlib.sha256(f"{one.owner} {one.slice_index}".encode()).digest()


def _is_enough(slices: Sequence[Sampled]) -> bool:
    return len(slices) >= LEAST_PICTURES and len({one.case or one.owner for one in slices}) >= LEAST_OWNERS


def bank_of(draft: Draft) -> GroupBank:
    """Return the bank of a draft."""
    pictures = draft.pictures
    return GroupBank(
        make_bank([one.features() for one in pictures]),
        tuple(one.owner for one in pictures),
        tuple(one.case for one in pictures),
        tuple(one.slice_index for one in pictures),
    )


def file_of(name: str) -> str:
    """Return the name of a group's file."""
    return f"{GROUPS_FOLDER}/{keyed_name(None, b'group', name.encode())}{BANK}"


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


def judge(kept: GroupBank, pictures: Sequence[Sampled], spoilt: Sequence[Sampled]) -> Judged | None:
    """Return what is usual in a bank, and the weight; None where its pictures cannot vouch for each other.

    pictures: those of the bank; the first JUDGED of them are compared with the others.
    """
    own, ratios = [], []
    for one in pictures[:JUDGED]:
        features = one.features()
        found = compared(kept, one.subject, features)
        if found is not None:
            own.append((one, found))
            ratios.append(resemblance(found, kept.bank.of_picture(features)))
    if len(own) < LEAST_PICTURES // 2:
        return None
    usual = usual_of(*_stacked(own))
    evidence = evidence_of(usual, *_stacked(own))
    seeds = [
        (one, found) for one in spoilt if (found := compared(kept, one.subject, one.features())) is not None
    ]
    bad = evidence_of(usual, *_stacked(seeds)) if seeds else Evidence(*(torch.empty(0),) * 4)
    ratio = float(np.median(ratios))
    weight = 0.0 if ratio > UNLIKE else choose_weight(evidence, bad)
    sizes, contrasts = (torch.tensor([getattr(one, key) for one, _ in seeds]) for key in ("size", "contrast"))
    return Judged(combination_of(usual, evidence, weight), ratio, evidence, bad, sizes, contrasts)


def _stacked(pairs: Sequence[tuple[Sampled, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.tensor([one.score for one, _ in pairs]),
        torch.stack([torch.from_numpy(one.tokens.copy()) for one, _ in pairs]),
        torch.stack([found.cpu() for _, found in pairs]),
    )


def group_record(
    draft: Draft, sha256: str, judged: Judged, label: str, built: str, founding: bool
) -> GroupRecord:
    """Return what a profile says of a group."""
    combination, usual = judged.combination, judged.combination.usual
    limits = []
    if len(judged.spoilt.score):
        own, bad = (picture_sum(of, combination.weight) for of in (judged.evidence, judged.spoilt))
        limits = detection_limits(own, bad, judged.sizes, judged.contrasts)
    return GroupRecord(
        name=draft.name,
        label=label,
        file=file_of(draft.name),
        sha256=sha256,
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
        limits=tuple(LimitRecord(**asdict(limit)) for limit in limits),
        founding=founding,
        built=built,
    )


def _record(line: Line) -> LineRecord:
    return LineRecord(offset=line.offset, scale=line.scale)
