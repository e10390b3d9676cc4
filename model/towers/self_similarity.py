"""How unlike every other place of its own picture a patch is: what is found once in it stands out.

Source: nearest-neighbour distances between patch features, as SPADE and PatchCore measure them to normal
pictures; here to the picture itself, so that no other picture is needed.
"""

import torch
from torch import Tensor

NEAREST = (1, 4, 16)
"""A patch's distance is the mean to this many patches: what comes once, a few times, or as a small group."""
REACH = 1
"""Patches around a patch that are no evidence: what spreads over two of them would excuse itself."""
SCALE = 4.0
"""Brings distances, mostly below a half, to the range of the other features."""
SPREAD = 0.02
"""Added to a picture's deviation of distances: a picture of one texture stays flat."""
TINY = 1e-12


def unlike_numbers(groups: int) -> int:
    """Return how many numbers ``unlike`` gives a patch for so many groups of features."""
    return 2 * len(NEAREST) * (groups + 1)


def unlike(features: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Return distances (B, N, unlike_numbers) of patches to the nearest ones elsewhere in their picture.

    features: (B, N, K), N a square of at least 5 x 5 patches. groups: sizes of groups of features, sum K;
    each is compared by itself, and all together. A distance is one minus the cosine, 0..2, float32; first
    scaled, then less the picture's mean over its deviation.
    """
    split = torch.split(features.float(), list(groups), dim=-1)
    products = [part @ part.transpose(1, 2) for part in split]
    products.append(torch.stack(products).sum(dim=0))
    close = _close(features.shape[1], features.device)
    near = torch.cat([_distances(of_one, close) for of_one in products], dim=-1)
    deviation, mean = torch.std_mean(near, dim=1, keepdim=True, correction=0)
    return torch.cat([SCALE * near, (near - mean) / (deviation + SPREAD)], dim=-1)


def _distances(products: Tensor, close: Tensor) -> Tensor:
    """Return mean distances (B, N, len(NEAREST)) to the nearest patches; products: of all pairs (B, N, N)."""
    length = products.diagonal(dim1=1, dim2=2).sqrt().clamp_min(TINY)
    alike = products / (length[:, :, None] * length[:, None])
    nearest = alike.masked_fill(close, -1.0).topk(NEAREST[-1], dim=-1).values
    return torch.stack([1 - nearest[..., :count].mean(dim=-1) for count in NEAREST], dim=-1)


def _close(patches: int, device: torch.device) -> Tensor:
    """Return which pairs of patches (N, N) lie within REACH of each other, row by row of a square."""
    at = torch.arange(round(patches**0.5), device=device)
    band = (at[:, None] - at).abs() <= REACH
    return (band[:, None, :, None] & band[None, :, None, :]).reshape(patches, patches)
