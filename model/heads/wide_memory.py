"""A memory of normal pictures that is compared in several neighbourhoods, from one product a tap.

A neighbourhood is a weighted sum of patches, so products of neighbourhoods are weighted sums of products of
patches: of N x N products the sums are taken along both sides. That is a third of the arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.heads.memory import MIDDLE, PAIRS_AT_ONCE, Rows, by_class
from s2sw.model.heads.neighbourhoods import Neighbourhoods

SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class _Patches:
    """Patches (B, N, W) as they are compared.

    unit: L2-normalised, in the products' dtype. length: (B, N). wide: lengths of the sums at each scale.
    """

    unit: Tensor
    length: Tensor
    wide: list[Tensor]

    @classmethod
    def of(cls, patches: Tensor, around: Neighbourhoods, dtype: torch.dtype) -> "_Patches":
        patches = patches.float()
        length = _length(patches)
        unit = (patches / length[..., None]).to(dtype)
        return cls(unit, length, [_length(one) for one in around.patches(patches)])


class WideMemory:
    """What is remembered of the normal pictures of each class."""

    def __init__(
        self, classes: Sequence[Mapping[str, Tensor]], around: Neighbourhoods, dtype: torch.dtype
    ) -> None:
        """Take the patches (K, N, W) of K pictures, by class and tap. dtype: of the products."""
        self._around, self._dtype = around, dtype
        self._classes = [[_Patches.of(tap, around, dtype) for tap in kept.values()] for kept in classes]

    def __bool__(self) -> bool:
        return bool(self._classes)

    def distances(self, taps: Sequence[Tensor], classes: Tensor) -> Tensor:
        """Return 1 - cosine to the nearest of the memory, 0..2, for each tap and scale, (B, sets, N).

        taps: (B, N, W) each. classes: int64 (B,).
        """
        seen = [_Patches.of(tap, self._around, self._dtype) for tap in taps]

        def of_class(kind: int, rows: Rows) -> Tensor:
            pairs = zip(seen, self._classes[kind], strict=True)
            return torch.stack([near for own, known in pairs for near in self._nearest(own, known, rows)], 1)

        return by_class(classes, of_class)

    def _nearest(self, own: _Patches, known: _Patches, rows: Rows) -> list[Tensor]:
        """Return the distances (rows, N) at each scale."""
        unit, length = own.unit[rows], own.length[rows]
        pictures, count, width = known.unit.shape
        step = max(1, PAIRS_AT_ONCE // max(1, length.numel() * count))
        found: list[list[Tensor]] = [[] for _ in known.wide]
        for start in range(0, pictures, step):
            some = slice(start, start + step)
            flat = known.unit[some].reshape(-1, width)
            middle = flat.new_full((len(flat),), -MIDDLE)
            products = functional.linear(unit, flat, middle).float().add_(MIDDLE)
            products.mul_(length[..., None]).mul_(known.length[some].flatten())
            for scale, along in enumerate(self._around.along):
                wide = products if along is None else self._around.of_products(products, along)
                found[scale].append((wide / known.wide[scale][some].flatten()).amax(dim=-1))
        highest = [torch.stack(parts).amax(dim=0) for parts in found]
        # a patch that the memory holds comes out at some 1e-7, of either sign
        return [(1 - cosine / own.wide[scale][rows]).clamp(min=0) for scale, cosine in enumerate(highest)]


def _length(patches: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(patches, dim=-1)
    return lengths.clamp(min=SMALLEST)
