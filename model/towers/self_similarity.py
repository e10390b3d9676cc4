"""How unlike every other place of its own picture a patch is: what is found once in it stands out.

Source: nearest-neighbour distances between patch features, as SPADE and PatchCore measure them to normal
pictures; here to the picture itself, so that no other picture is needed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.towers.shapes import NEAREST

REACH = 1
"""Patches around a patch that are no evidence: what spreads over two of them would excuse itself."""


def unlike(taps: Sequence[Tensor]) -> Tensor:
    """Return distances (B, N, unlike_numbers) of patches to the nearest ones elsewhere in their picture.

    taps: (B, N, C) each, N a square of at least 5 x 5 patches. Each is compared by single patches, and
    averaged over 3 x 3 of them. A distance is one minus the cosine, 0..2, float32.
    """
    found = []
    for tap in taps:
        single = functional.normalize(tap.float(), dim=-1)
        found += [nearest_elsewhere(single), nearest_elsewhere(around(single))]
    return torch.cat(found, dim=-1)


def around(patches: Tensor, reach: int = 1) -> Tensor:
    """Return patches (B, N, C) averaged with those up to ``reach`` away, L2-normalised; N a square.

    Over 3 x 3 of them by default, over fewer at the rim.
    """
    side = round(patches.shape[1] ** 0.5)
    rows = _summed(patches.reshape(len(patches), side, side, -1), 1, reach)
    return functional.normalize(_summed(rows, 2, reach).flatten(1, 2), dim=-1)


def _summed(square: Tensor, axis: int, reach: int) -> Tensor:
    """Return the sum of each entry and its neighbours up to ``reach`` away along an axis."""
    total = square.clone()
    for step in range(1, min(reach, square.shape[axis] - 1) + 1):
        length = square.shape[axis] - step
        total.narrow(axis, step, length).add_(square.narrow(axis, 0, length))
        total.narrow(axis, 0, length).add_(square.narrow(axis, step, length))
    return total


def nearest_elsewhere(patches: Tensor) -> Tensor:
    """Return mean distances (B, N, len(NEAREST)) of normalised patches (B, N, C) to the nearest ones."""
    close = _close(patches.shape[1], patches.device)
    alike = (patches @ patches.transpose(1, 2)).masked_fill_(close, -1.0)
    nearest = alike.topk(NEAREST[-1], dim=-1).values
    return torch.stack([1 - nearest[..., :count].mean(dim=-1) for count in NEAREST], dim=-1)


def _close(patches: int, device: torch.device) -> Tensor:
    """Return which pairs of patches (N, N) lie within REACH of each other, row by row of a square."""
    at = torch.arange(round(patches**0.5), device=device)
    band = (at[:, None] - at).abs() <= REACH
    return (band[:, None, :, None] & band[None, :, None, :]).reshape(patches, patches)
