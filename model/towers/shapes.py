"""What must be known to build a tower. Knows no torch: whoever starts a run only reads it."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["quick_gelu", "gelu"]

NEAREST = (1, 8)
"""A patch's distance is the mean to this many patches: what comes once, or as a small group."""
COMPARED = 2
"""The last taps, whose patches are compared within the picture: the first ones say little of it."""


def unlike_numbers(taps: int) -> int:
    """Return how many numbers ``unlike`` gives a patch for so many taps."""
    return 2 * len(NEAREST) * taps


@dataclass(frozen=True, slots=True)
class Dinov2Shape:
    """What must be known to build one; grid is the side of its own positional grid, patch in pixels."""

    width: int
    layers: int
    heads: int
    patch: int
    grid: int
    registers: int


@dataclass(frozen=True, slots=True)
class StemShape:
    """taps: the 1-based blocks that are read. kept: principal components of each tap's tokens."""

    backbone: Dinov2Shape
    taps: tuple[int, ...]
    kept: int

    @property
    def components(self) -> int:
        """Principal components of all taps."""
        return len(self.taps) * self.kept

    @property
    def features(self) -> int:
        """Numbers that the stem says of a patch: principal components and distances."""
        return self.components + unlike_numbers(COMPARED)

    @property
    def described(self) -> int:
        """Numbers that reach the tower for a patch, see describe."""
        return 2 * self.features


@dataclass(frozen=True, slots=True)
class VisionShape:
    """What must be known to build the visual tower; grid is the side of its own positional grid.

    patch: pixels a side that become one token. stem: what sees them first; None in every plain CLIP.
    """

    width: int
    layers: int
    heads: int
    patch: int
    grid: int
    embed_dim: int
    activation: Activation
    stem: StemShape | None = None

    @property
    def patch_channels(self) -> int:
        """Numbers that make one token: the patch's pixels, or what the stem says of it."""
        return 3 * self.patch**2 if self.stem is None else self.stem.described


@dataclass(frozen=True, slots=True)
class TextShape:
    """What must be known to build the text tower; context is its number of positions."""

    width: int
    layers: int
    heads: int
    context: int
    vocab: int
    embed_dim: int
    activation: Activation
