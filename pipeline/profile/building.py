"""From sampled slices to groups: what a bank holds, what is usual in it, and how much rarity counts."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from s2sw.model.rarity.bank import make_bank
from s2sw.model.rarity.choosing import CONSTANT, LEAST_SEEDS, choose_weight, detection_limits, resemblance
from s2sw.model.rarity.combination import (
    Combination,
    Evidence,
    Line,
    combination_of,
    evidence_of,
    picture_sum,
    usual_of,
)
from s2sw.pipeline.profile.banks import GroupBank
from s2sw.pipeline.profile.drafting import Draft, Kept, Sampled
from s2sw.pipeline.profile.ranking import compared, own_row
from s2sw.schemas.profile import (
    LEAST_PICTURES,
    BankFile,
    ExtentRecord,
    GroupRecord,
    LimitRecord,
    LineRecord,
)

JUDGED = 96
"""Pictures of a bank at most that say what is usual in it."""
UNLIKE = 3.0
"""Resemblance from which pictures of a group do not tell of each other: rarity then counts nothing, unless
seeded defects speak for it.

Measured (docs/profile.md): where rarity helped 0.13, 1.2 and 2.1, where it harmed 4.3 and 12.
"""


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
        tuple(one.view for one in draft.pictures),
        scores[rows],
        tokens[rows],
    )


@dataclass(frozen=True)
class Judged:
    """What a bank says of its own pictures and of spoilt ones.

    evidence: on own pictures (n,); spoilt: on spoilt ones (m,). sizes, contrasts: of their defects, (m,).
    defects: how many of the spoilt ones have one in a place; they alone choose the weight.
    """

    combination: Combination
    resemblance: float
    evidence: Evidence
    spoilt: Evidence
    sizes: Tensor
    contrasts: Tensor
    defects: int
    extent: ExtentRecord | None = None
    tiles: int = 0


def judge(
    kept: GroupBank, spoilt: Sequence[Sampled], before: GroupRecord | None = None, tiles: int = 0
) -> Judged | None:
    """Return what is usual in a bank, and the weight; None where its pictures cannot vouch for each other.

    The first JUDGED pictures are compared with the others. before: what the group was until now, whose weight
    stays where too few defects could be seeded. tiles: that a slice has, in a bank of tiles.
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
    local = torch.tensor([not one.is_whole_change for one, _ in seeds], dtype=torch.bool)
    defects = Evidence(*(values[local] for values in bad))
    ratio = float(np.median([resemblance(found, kept.bank.own(row)) for row, found in beside.items()]))
    weight = _weight(evidence, defects, ratio, before)
    sizes, contrasts = (torch.tensor([getattr(one, key) for one, _ in seeds]) for key in ("size", "contrast"))
    combination = combination_of(usual, evidence, weight, tiles)
    extent = _extent([one for one, _ in seeds if not one.is_whole_change])
    return Judged(combination, ratio, evidence, bad, sizes, contrasts, len(defects.score), extent, tiles)


def _weight(siblings: Evidence, defects: Evidence, ratio: float, before: GroupRecord | None) -> float:
    if ratio > UNLIKE:
        return choose_weight(siblings, defects, expected=0.0)
    few = len(defects.score) < LEAST_SEEDS
    return before.weight if before and few else choose_weight(siblings, defects, CONSTANT)


def tiles_of(draft: Draft) -> int:
    """Return how many tiles a slice of the group has, in the middle; 0 in a group of whole slices."""
    counts = [one.tiles for one in draft.pictures if isinstance(one, Sampled) and one.view]
    return round(float(np.median(counts))) if counts else draft.before.tiles if draft.before else 0


def _extent(spoilt: Sequence[Sampled]) -> ExtentRecord | None:
    areas, known = [one.area for one in spoilt], [one.mm2 for one in spoilt if one.mm2]
    if not areas or min(areas) <= 0:
        return None
    mm = float(np.median(known)) ** 0.5 if len(known) == len(areas) else None
    return ExtentRecord(pixels=float(np.median(areas)) ** 0.5, mm=mm)


def _stacked(pairs: Sequence[tuple[Sampled, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.tensor([one.score for one, _ in pairs]),
        torch.stack([torch.from_numpy(one.tokens.copy()) for one, _ in pairs]),
        torch.stack([found.cpu() for _, found in pairs]),
    )


def group_record(draft: Draft, file: BankFile, judged: Judged, label: str, built: str) -> GroupRecord:
    """Return what a profile says of a group."""
    combination, usual = judged.combination, judged.combination.usual
    limits, extent = (draft.before.limits, draft.before.extent) if draft.before else ((), None)
    if judged.defects >= LEAST_SEEDS if draft.before else len(judged.sizes):
        own, bad = (picture_sum(of, combination.weight) for of in (judged.evidence, judged.spoilt))
        found = detection_limits(own, bad, judged.sizes, judged.contrasts, judged.tiles)
        limits, extent = tuple(LimitRecord(**asdict(limit)) for limit in found), judged.extent
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
        extent=extent,
        tiles=judged.tiles,
        built=built,
    )


def _record(line: Line) -> LineRecord:
    return LineRecord(offset=line.offset, scale=line.scale)
