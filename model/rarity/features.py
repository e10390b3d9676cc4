"""What pictures are compared by: a description of each, and its patches of two taps.

Source: MuSc (ICLR 2024) scores the pictures of an archive by each other's patches; means of 3 x 3 patches are
its aggregation at r = 3.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.towers.self_similarity import around
from s2sw.schemas.profile import MOST_NUMBERS, MOST_TAPS

BASIS_PATCHES = 65_536
"""Patches at most that components are computed from."""
_INT8 = 127


class Features(NamedTuple):
    """What one picture is compared by.

    description: (D,), L2-normalised. patches: of each tap (N, width), L2-normalised, row by row of a square.
    """

    description: Tensor
    patches: tuple[Tensor, ...]


def compared_taps(taps: Sequence[Tensor]) -> list[Tensor]:
    """Return the taps (B, N, D) that are compared, of those that a detector gives.

    The two in the middle: early ones see little but colour, late ones little but what the picture shows.
    """
    first = max(0, (len(taps) - 1) // 2)
    return list(taps[first : first + MOST_TAPS])


def features_of(taps: Sequence[Tensor]) -> list[Features]:
    """Return the features of pictures whose compared taps are (B, N, D) each, N a square."""
    wide = [around(functional.normalize(tap.float(), dim=-1)) for tap in taps]
    descriptions = functional.normalize(wide[0].mean(dim=1), dim=-1)
    return [Features(descriptions[row], tuple(tap[row] for tap in wide)) for row in range(len(descriptions))]


def components(patches: Tensor, width: int = MOST_NUMBERS) -> Tensor:
    """Return the basis (D, width) that keeps most of the patches (M, D): principal axes through the origin.

    Their products are what is compared, so that the mean is not taken off. width: D at most.
    """
    patches = patches.double()
    _, axes = torch.linalg.eigh(patches.T @ patches)  # ascending
    basis: Tensor = axes.flip(1)[:, : min(width, axes.shape[1])].float().contiguous()
    return basis


def projected(patches: Tensor, basis: Tensor) -> Tensor:
    """Return patches (..., D) in a basis (D, width), L2-normalised."""
    return functional.normalize(patches @ basis, dim=-1)


def to_int8(patches: Tensor) -> Tensor:
    """Return patches (..., width) as int8, each scaled by its own largest number.

    Only directions are compared, so that the scales need not be kept.
    """
    scale = patches.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12)
    return (patches * (_INT8 / scale)).round().to(torch.int8)


def from_int8(packed: Tensor) -> Tensor:
    """Return what ``to_int8`` packed, float32, L2-normalised."""
    return functional.normalize(packed.float(), dim=-1)
