"""A memory of a few normal pictures' patches on the embedded detector's stem, and how unlike them others are.

Distances are told in units of what is usual between the normal pictures themselves, so that one weight beside
the trained network fits every kind of picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.towers.self_similarity import around
from s2sw.model.towers.shapes import COMPARED

HIGHEST = 6
"""Patches whose mean is a map's say on the picture: about a hundredth of them."""
LEAST = 1e-3
"""Added to the deviation of usual distances: pictures that are all the same stay comparable."""
LEAST_HIGHEST = 1.0
"""Added to the deviation of pictures' highest distances, in units of the former: few tell little."""
KINDS = 2 * COMPARED


def highest(tokens: Tensor) -> Tensor:
    """Return the mean of the highest patches (B,) of maps (B, g, g) or (B, g * g)."""
    return tokens.flatten(1).topk(HIGHEST, dim=1).values.mean(dim=1)


def compared(taps: Sequence[Tensor]) -> list[Tensor]:
    """Return the patches (B, N, width) that are compared, of each tap single ones and means of 3 x 3."""
    single = [functional.normalize(tap.float(), dim=-1) for tap in taps[-COMPARED:]]
    return [kind for tap in single for kind in (tap, around(tap))]


@dataclass(frozen=True, slots=True)
class StemMemory:
    """patches: of each kind (M, width), L2-normalised. usual: mean and deviation of distances between them.

    usual_highest: mean and deviation of the normal pictures' highest distances, in units of the former.
    """

    patches: list[Tensor]
    usual: Tensor
    usual_highest: Tensor

    def unlike(self, taps: Sequence[Tensor]) -> Tensor:
        """Return how much farther than usual the taps' patches (B, N, width) are from the nearest: (B, N)."""
        return (apart(compared(taps), self.patches) - self.usual[0]) / self.usual[1]

    def picture(self, unlike: Tensor) -> Tensor:
        """Return how much farther than usual the highest of patches (B, N) are: (B,)."""
        return (highest(unlike) - self.usual_highest[0]) / self.usual_highest[1]

    def tensors(self) -> dict[str, Tensor]:
        """Return what a bundle keeps."""
        kept = {f"memory.{number}": patches for number, patches in enumerate(self.patches)}
        return kept | {"memory.usual": self.usual, "memory.usual_highest": self.usual_highest}


def memory_of(tensors: Mapping[str, Tensor], device: torch.device) -> StemMemory:
    """Return the memory that a bundle keeps."""
    patches = [tensors[f"memory.{number}"].to(device) for number in range(KINDS)]
    usual, top = (tensors[f"memory.{name}"].to(device) for name in ("usual", "usual_highest"))
    return StemMemory(patches, usual, top)


def remember(pictures: Sequence[Sequence[Tensor]]) -> StemMemory:
    """Return the memory of normal pictures, each given as the taps' patches (2, N, width).

    Of a picture's two rows the first is the picture, the second its mirror image: the memory holds the first
    ones; a single picture is compared with its own second one to find out what is usual.
    """
    kinds = [compared([tap[:1] for tap in taps]) for taps in pictures]
    others = [compared([tap[1:] for tap in taps]) for taps in pictures] if len(kinds) == 1 else kinds
    every = torch.cat([apart(own, _joined(_rest(others, place))) for place, own in enumerate(kinds)])
    usual = torch.stack([every.mean(), every.std() + LEAST])
    top = highest((every - usual[0]) / usual[1])
    usual_highest = torch.stack([top.mean(), top.std(correction=0) + LEAST_HIGHEST])
    return StemMemory(_joined(kinds), usual, usual_highest)


def apart(kinds: Sequence[Tensor], memory: Sequence[Tensor]) -> Tensor:
    """Return the mean distance (B, N) of patches to the nearest ones of a memory, (M, width) of each kind."""
    near = [1 - (one @ known.T).amax(dim=-1) for one, known in zip(kinds, memory, strict=True)]
    return torch.stack(near).mean(dim=0)


def _rest(kinds: list[list[Tensor]], place: int) -> list[list[Tensor]]:
    return kinds if len(kinds) == 1 else kinds[:place] + kinds[place + 1 :]


def _joined(kinds: list[list[Tensor]]) -> list[Tensor]:
    """Return the patches of all pictures, (M, width) of each kind."""
    return [torch.cat(parts).flatten(0, 1) for parts in zip(*kinds, strict=True)]
