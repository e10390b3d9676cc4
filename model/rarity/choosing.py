"""How much rarity counts in a group, decided without labels: by seeded defects, and drawn towards a constant.

As the one-standard-error rule (Breiman et al., "Classification and regression trees", 1984), with a stricter
bound: of the weights that the defects cannot tell from the best one, the nearest to what is expected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2sw.model.rarity.combination import Evidence, highest_of, picture_sum
from s2sw.model.rarity.seeding import WHOLE
from s2sw.model.towers.self_similarity import nearest_elsewhere

CONSTANT = 0.7
"""Weight of rarity where nothing speaks for another one."""
WEIGHTS = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)
SURE = 3.0
"""Standard errors by which the defects must prefer the best weight to another one for that to be given up.

Defects are not what an archive has in truth: with one they led away from the constant where that was right
(docs/profile.md).
"""
LEAST_SEEDS = 12
"""Seeded defects without which the expected weight stays."""
BUDGET = 0.05
"""Share of the bank's own pictures that may be flagged where detection limits are measured."""
SIZE_EDGES = (0.002, 0.01)
"""Bounds between small, middle and large seeded defects: shares of the picture's area."""
CONTRAST_EDGES = (0.06, 0.15)
"""Bounds between faint, middle and plain ones: mean change, of 0..1."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many seeded defects up to a size and contrast, and above the bounds before, were found.

    whole: those are changes of the whole picture, of which no defect's size is told.
    """

    size: float
    contrast: float
    seeds: int
    found: int
    whole: bool = False


def choose_weight(siblings: Evidence, spoilt: Evidence, expected: float = CONSTANT) -> float:
    """Return the weight of rarity.

    siblings: evidence on unspoilt pictures (n,); spoilt: on others (m,). expected: the weight that is drawn
    towards; CONSTANT where pictures of the group resemble each other, and 0 where they do not.
    """
    if len(spoilt.score) < LEAST_SEEDS:
        return expected
    placed = torch.stack([placements(picture_sum(siblings, w), picture_sum(spoilt, w)) for w in WEIGHTS])
    best = int(placed.mean(dim=1).argmax())
    behind = placed[best] - placed
    error = behind.std(dim=1) / len(spoilt.score) ** 0.5
    gaps = zip(WEIGHTS, behind.mean(dim=1), SURE * error, strict=True)
    equal = [weight for weight, gap, most in gaps if gap <= most]
    return min(equal, key=lambda w: abs(w - expected))


def placements(siblings: Tensor, spoilt: Tensor) -> Tensor:
    """Return the share of siblings below each spoilt picture, ties half: (m,); their mean is the AUROC."""
    above = (spoilt[:, None] > siblings).double() + 0.5 * (spoilt[:, None] == siblings).double()
    return above.mean(dim=1)


def resemblance(between: Tensor, patches: Sequence[Tensor]) -> float:
    """Return how near a picture's patches are to other pictures', over how near to its own other patches.

    between: distances (taps, N) to the bank's pictures; patches: of each tap (N, width). Below 1 other
    pictures tell more of it than it does itself.
    """
    within = torch.stack([nearest_elsewhere(tap[None])[0, :, 0] for tap in patches])
    return float(between.median() / within.median().clamp(min=1e-6))


def detection_limits(
    siblings: Tensor, spoilt: Tensor, sizes: Tensor, contrasts: Tensor, together: int = 1
) -> list[Limit]:
    """Return what was found of seeded defects at BUDGET, by size and contrast.

    siblings, spoilt: combined scores (n,), (m,). sizes, contrasts: of the defects, (m,); changes of whole
    pictures, of size WHOLE, are counted apart. together: as of ``combination_of``; the budget is one of
    slices.
    """
    cut = siblings.quantile(highest_of(1 - BUDGET, together))
    bands = (*((size, False) for size in (*SIZE_EDGES, WHOLE)), (WHOLE, True))
    size_band = torch.bucketize(sizes, torch.tensor(SIZE_EDGES)) + (sizes >= WHOLE).long()
    contrast_band = torch.bucketize(contrasts, torch.tensor(CONTRAST_EDGES))
    found = []
    for row, (size, whole) in enumerate(bands):
        for column, contrast in enumerate((*CONTRAST_EDGES, 1.0)):
            here = (size_band == row) & (contrast_band == column)
            if here.any():
                found.append(Limit(size, contrast, int(here.sum()), int((spoilt[here] > cut).sum()), whole))
    return found
