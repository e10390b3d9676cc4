"""Mutual scoring: how unlike those of the other pictures of its archive each patch of a picture is.

Source: Li et al., "MuSc: Zero-Shot Industrial Anomaly Classification and Segmentation with Mutual Scoring of
the Unlabeled Images", ICLR 2024: patches averaged over 1 x 1, 3 x 3 and 5 x 5 neighbours, the distance to the
nearest patch of every other picture, the mean of the lowest 30 % of these, the mean over neighbourhoods and
taps. Settled here: patches are L2-normalised before and after they are averaged, and at the rim fewer count.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity.bank import LOWEST, nearest
from s2sw.model.towers.self_similarity import around

REACHES = (0, 1, 2)
"""Patches on each side that are averaged: neighbourhoods of 1, 3 and 5."""
FARTHEST = 2.0
"""The distance of opposite patches."""
COPY = {"fp32": 0.01, "bf16": 0.1, "int8": 0.1}
"""Mean distance of patches at one place, by the tower's precision, below which two pictures are one."""
PAIRS_AT_ONCE = 1 << 25
"""Distances that are held at a time: bounds the device's memory, whatever the number of pictures."""


def mutual_scores(taps: Sequence[Tensor], archive: Sequence[Tensor], copy: float) -> Tensor:
    """Return how unlike the archive's pictures each patch is, float32 (N,), 0..FARTHEST.

    taps: a picture's patches, of each tap (N, D). archive: of each tap (K, N, D), L2-normalised. copy: as of
    COPY. Pictures that are the judged one, or a copy of it, do not vouch for it, unless all are.
    """
    copies = copies_of(taps[0], archive[0], copy)
    found = [
        lowest_of_others(distances(tap, known, reach), copies)
        for tap, known in zip(taps, archive, strict=True)
        for reach in REACHES
    ]
    return torch.stack(found).mean(dim=0)


def copies_of(patches: Tensor, known: Tensor, copy: float) -> Tensor:
    """Return which pictures (K, N, D) are copies of the one with these patches (N, D), bool (K,)."""
    unit = functional.normalize(patches.float(), dim=-1)
    apart = [(some - unit).norm(dim=-1).mean(dim=-1) for some in _chunks(known)]
    same = torch.cat(apart) < copy
    return same & ~same.all()


def distances(patches: Tensor, known: Tensor, reach: int) -> Tensor:
    """Return the distance of each patch (N, D) to the nearest of each picture (K, N, D): (N, K)."""
    own = neighbourhood(patches[None], reach)[0]
    apart = [nearest(own, neighbourhood(some, reach)) for some in _chunks(known)]
    return (2 * torch.cat(apart, dim=1)).clamp(min=0).sqrt()  # of one minus the cosine


def neighbourhood(patches: Tensor, reach: int) -> Tensor:
    """Return patches (B, N, D) averaged with those up to ``reach`` away, L2-normalised, float32."""
    unit = functional.normalize(patches.float(), dim=-1)
    return around(unit, reach) if reach else unit


def lowest_of_others(apart: Tensor, copies: Tensor) -> Tensor:
    """Return the mean of the lowest LOWEST of distances (N, K), without the copies, bool (K,): (N,)."""
    count = (LOWEST * (~copies).sum().double()).round().clamp(min=1)
    ordered = apart.masked_fill(copies, torch.inf).sort(dim=1).values
    counts = torch.arange(apart.shape[1], device=apart.device) < count
    return ordered.masked_fill(~counts, 0).sum(dim=1) / count.float()


def _chunks(known: Tensor) -> Iterator[Tensor]:
    """Yield some pictures (k, N, D) at a time, float32."""
    for some in torch.split(known, max(1, PAIRS_AT_ONCE // known.shape[1] ** 2)):
        yield some.float()
