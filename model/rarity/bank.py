"""A bank of an archive's own pictures, and how rare the patches of another picture are beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity.features import BASIS_PATCHES, Features, components, from_int8, projected, to_int8

SIMILAR = 32
"""Pictures that one is compared with: those most like it."""
LEAST_OTHERS = 8
"""Pictures that are needed to say what is rare."""
LOWEST = 0.3
"""Share of the compared pictures whose distances count: a patch that some of them have is usual."""
HIGHEST = 0.01
"""Share of a picture's patches whose mean is the picture's rarity."""


MIDDLE = 0.875
"""Near the cosines of patches that resemble each other; a number that bfloat16 has."""


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
        found = [
            lowest_mean(nearest(own.to(dtype), from_int8(kept[similar]).to(dtype)))
            for own, kept in zip(patches, self.patches, strict=True)
        ]
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
    bfloat16 distances are within 0.002 of float32's, on average 0.0002.
    """
    # one product for all pictures; on a CPU one for each, whose cosines stay in its cache
    step = 1 if others.device.type == "cpu" else len(others)
    found = [_highest_cosines(patches, some) for some in torch.split(others, step)]
    return 1 - torch.cat(found, dim=1).float() - MIDDLE


def _highest_cosines(patches: Tensor, others: Tensor) -> Tensor:
    """Return the highest cosine less MIDDLE of each patch to those of each picture, (N, k)."""
    pictures, count, width = others.shape
    # taken off before the sum is rounded: near one, bfloat16 has steps of 0.004, near nought far finer ones
    middle = patches.new_full((pictures * count,), -MIDDLE)
    cosines = functional.linear(patches, others.reshape(pictures * count, width), middle)
    return cosines.reshape(len(patches), pictures, count).amax(dim=-1)


def lowest_mean(distances: Tensor) -> Tensor:
    """Return the mean of the lowest LOWEST of distances (N, k): (N,)."""
    count = max(1, round(LOWEST * distances.shape[1]))
    return distances.topk(count, dim=1, largest=False).values.mean(dim=1)


def highest_mean(values: Tensor) -> Tensor:
    """Return the mean of the highest HIGHEST of values (..., N): (...)."""
    count = max(1, round(HIGHEST * values.shape[-1]))
    return values.topk(count, dim=-1).values.mean(dim=-1)


def make_bank(pictures: Sequence[Features]) -> Bank:
    """Return the bank of pictures; their order decides between equals."""
    taps = list(zip(*(one.patches for one in pictures), strict=True))
    step = -(-len(pictures) * len(taps[0][0]) // BASIS_PATCHES)
    bases = tuple(components(torch.cat([one[::step] for one in tap])) for tap in taps)
    packed = tuple(
        torch.stack([to_int8(projected(one, basis)) for one in tap])
        for tap, basis in zip(taps, bases, strict=True)
    )
    return Bank(torch.stack([one.description for one in pictures]), bases, packed)
