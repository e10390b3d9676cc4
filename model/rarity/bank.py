"""A bank of an archive's own pictures, and how rare the patches of another picture are beside it."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity.features import BASIS_PATCHES, Features, components, from_int8, projected, to_int8
from s2sw.schemas.profile import MOST_NUMBERS

SIMILAR = 32
"""Pictures that one is compared with: those most like it."""
LEAST_OTHERS = 8
"""Pictures that are needed to say what is rare."""
LOWEST = 0.3
"""Share of the compared pictures whose distances count: a patch that some of them have is usual."""
ROWS = 32
"""Rows of matrices are filled up to a multiple of this many: products of others are slower."""
FAR = 3.0  # a distance beyond that of any two patches
HIGHEST = 0.01
"""Share of a picture's patches whose mean is the picture's rarity."""


@dataclass(frozen=True)
class Bank:
    """The pictures of one group.

    descriptions: (n, D) float32, L2-normalised. bases: of each tap (D, width). patches: of each tap int8
    (n, N, width). All on one device.
    """

    descriptions: Tensor
    bases: tuple[Tensor, ...]
    patches: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.descriptions)

    @functools.cached_property
    def _scales(self) -> tuple[Tensor, ...]:
        """What makes patches as long as they were, of each tap float32 (n, N, 1)."""
        return tuple(
            torch.stack([1 / one.float().norm(dim=-1, keepdim=True).clamp(min=1e-12) for one in tap])
            for tap in self.patches
        )

    def of_picture(self, features: Features) -> tuple[Tensor, ...]:
        """Return a picture's patches as they are compared: of each tap (N, width)."""
        pairs = zip(features.patches, self.bases, strict=True)
        return tuple(projected(patches.to(basis.device), basis) for patches, basis in pairs)

    def compare(
        self, description: Tensor, patches: Sequence[Tensor], allowed: Tensor | None = None
    ) -> Tensor | None:
        """Return how rare the patches of a picture are in each tap, float32 (taps, N).

        patches: as ``of_picture`` returns them. allowed: bool (n,), the pictures that may vouch for this one;
        None for all. Returns None where fewer than LEAST_OTHERS may.
        """
        return self.compare_with(self.most_similar(description, allowed), patches)

    def most_similar(self, description: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return the rows of the SIMILAR pictures most like one, the most alike first: int64 (k,)."""
        cosine = self.descriptions @ description.to(self.descriptions.device)
        if allowed is not None:
            rows = allowed.to(cosine.device).nonzero()[:, 0]
            return rows[cosine[rows].argsort(descending=True, stable=True)[:SIMILAR]]
        return cosine.argsort(descending=True, stable=True)[:SIMILAR]

    def compare_with(
        self, similar: Tensor, patches: Sequence[Tensor], dtype: torch.dtype = torch.float32
    ) -> Tensor | None:
        """Return what ``compare`` does, beside the pictures of some rows. dtype: of the products."""
        if len(similar) < LEAST_OTHERS:
            return None
        pairs = zip(patches, zip(self.patches, self._scales, strict=True), strict=True)
        found = [lowest_mean(_nearest_kept(own.to(dtype), *kept, similar)) for own, kept in pairs]
        return torch.stack(found)

    def joined(self, pictures: Sequence[Features]) -> "Bank":
        """Return the bank with more pictures behind its own, in its components."""
        if not pictures:
            return self
        added = zip(*(self.of_picture(one) for one in pictures), strict=True)
        patches = tuple(
            torch.cat([kept, torch.stack([to_int8(one) for one in tap])])
            for kept, tap in zip(self.patches, added, strict=True)
        )
        descriptions = torch.cat([self.descriptions, *(one.description[None] for one in pictures)])
        return Bank(descriptions, self.bases, patches)

    def of_rows(self, rows: Sequence[int]) -> "Bank":
        """Return the bank of some of its pictures, in this order."""
        chosen = list(rows)
        return Bank(self.descriptions[chosen], self.bases, tuple(kept[chosen] for kept in self.patches))

    def own(self, row: int) -> tuple[Tensor, ...]:
        """Return the patches of one of the bank's pictures as they are compared."""
        return tuple(from_int8(kept[row]) for kept in self.patches)


def nearest(patches: Tensor, others: Tensor) -> Tensor:
    """Return the distance of each patch (N, width) to the nearest one of each picture (k, M, width): (N, k).

    One minus the cosine, 0..2, of L2-normalised patches, in float32. Products are of the patches' dtype; in
    bfloat16 distances are within 0.003 of float32's, on average 0.0004.
    """
    if others.device.type == "cpu":
        return _one_by_one(patches, others, others.new_ones(len(others), 1, 1), range(len(others)))
    pictures, count, width = others.shape
    ones = patches.new_ones(pictures * count)
    # taken from one before the sum is rounded: bfloat16 has finer steps the nearer two patches are
    apart = functional.linear(-patches, others.reshape(pictures * count, width), ones)
    return apart.reshape(len(patches), pictures, count).amin(dim=-1).float()


def _nearest_kept(patches: Tensor, kept: Tensor, scales: Tensor, rows: Tensor) -> Tensor:
    """Return what ``nearest`` does, to the pictures of some rows of what a bank keeps, int8 (n, M, width)."""
    if kept.device.type == "cpu":
        return _one_by_one(patches, kept, scales, rows.tolist())
    return nearest(patches, (kept[rows] * scales[rows]).to(patches.dtype))


def _one_by_one(patches: Tensor, others: Tensor, scales: Tensor, rows: Iterable[int]) -> Tensor:
    """Return what ``nearest`` does, picture by picture: on a CPU each one's distances stay in its cache.

    others: (n, M, width), of which some rows are compared. scales: (n, M or 1, 1), of its patches.

    All are written to the same places: asking for memory of that size takes as long as the product. Rows are
    filled up, and one is taken from in the product: half again as fast in bfloat16.
    """
    count, width = others.shape[1:]
    own = patches.new_zeros(_filled(len(patches)), width + 1)
    own[: len(patches), :-1] = -patches
    own[:, -1] = 1
    other = patches.new_zeros(_filled(count), width + 1)
    other[:count, -1] = 1
    other[count:, -1] = FAR
    apart = patches.new_empty(len(own), len(other))
    found = []
    for row in rows:
        torch.mul(others[row], scales[row], out=other[:count, :-1])
        found.append(_lowest(torch.mm(own, other.T, out=apart)))
    return torch.stack(found, dim=1)[: len(patches)]


def _filled(count: int) -> int:
    return -(-count // ROWS) * ROWS


def _lowest(apart: Tensor) -> Tensor:
    """Return the lowest of each row of distances, float32."""
    if apart.dtype is not torch.bfloat16:
        return apart.amin(dim=1).float()
    # its bits are ordered as whole numbers are while the sign is plus, and those are compared six times
    # faster; what rounding makes less than nought is the lowest
    return apart.view(torch.int16).amin(dim=1).view(torch.bfloat16).float()


def lowest_mean(distances: Tensor) -> Tensor:
    """Return the mean of the lowest LOWEST of distances (N, k): (N,)."""
    count = max(1, round(LOWEST * distances.shape[1]))
    return distances.topk(count, dim=1, largest=False).values.mean(dim=1)


def highest_mean(values: Tensor) -> Tensor:
    """Return the mean of the highest HIGHEST of values (..., N): (...)."""
    count = max(1, round(HIGHEST * values.shape[-1]))
    return values.topk(count, dim=-1).values.mean(dim=-1)


def make_bank(pictures: Sequence[Features], width: int = MOST_NUMBERS) -> Bank:
    """Return the bank of pictures; their order decides between equals. width: numbers that a patch keeps."""
    taps = list(zip(*(one.patches for one in pictures), strict=True))
    step = -(-len(pictures) * len(taps[0][0]) // BASIS_PATCHES)
    bases = tuple(components(torch.cat([one[::step] for one in tap]), width) for tap in taps)
    packed = tuple(
        torch.stack([to_int8(projected(one, basis)) for one in tap])
        for tap, basis in zip(taps, bases, strict=True)
    )
    return Bank(torch.stack([one.description for one in pictures]), bases, packed)
