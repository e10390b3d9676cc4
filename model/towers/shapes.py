"""What must be known to build a tower. Knows no torch: whoever starts a run only reads it.

The bounds hold where a bundle's record is read: whoever made it may have written any number.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from s2sw.schemas.forms import TOWER_GRID

Activation = Literal["quick_gelu", "gelu"]

WIDTH, BLOCKS, PATCH, REGISTERS = 8192, 256, 256, 64
"""Largest widths, depths, patches (pixels) and numbers of registers: five times those of published towers."""
Width = Annotated[int, Field(gt=0, le=WIDTH)]
Block = Annotated[int, Field(gt=0, le=BLOCKS)]
Patch = Annotated[int, Field(gt=0, le=PATCH)]
Grid = Annotated[int, Field(gt=0, le=TOWER_GRID)]
Registers = Annotated[int, Field(ge=0, le=REGISTERS)]

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

    width: Width
    layers: Block
    heads: Width
    patch: Patch
    grid: Grid
    registers: Registers

    @property
    def most_numbers(self) -> int:
        """Numbers that its tensors hold, or a little more."""
        return _blocks(self.width, self.layers) + self.width * (
            3 * self.patch**2 + self.grid**2 + self.registers + 16
        )


@dataclass(frozen=True, slots=True)
class StemShape:
    """taps: the 1-based blocks that are read. kept: principal components of each tap's tokens."""

    backbone: Dinov2Shape
    taps: Annotated[tuple[Block, ...], Field(min_length=1, max_length=BLOCKS)]
    kept: Width

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

    width: Width
    layers: Block
    heads: Width
    patch: Patch
    grid: Grid
    embed_dim: Width
    activation: Activation
    stem: StemShape | None = None

    @property
    def patch_channels(self) -> int:
        """Numbers that make one token: the patch's pixels, or what the stem says of it."""
        return 3 * self.patch**2 if self.stem is None else self.stem.described

    @property
    def most_numbers(self) -> int:
        """Numbers that its tensors hold, registers of DINOv2 included, or a little more."""
        own = _blocks(self.width, self.layers) + self.width * (
            self.patch_channels + self.grid**2 + self.embed_dim + REGISTERS + 16
        )
        if self.stem is None:
            return own
        return (
            own
            + self.stem.backbone.most_numbers
            + self.stem.backbone.width * (self.stem.components + len(self.stem.taps))
        )


def _blocks(width: int, layers: int) -> int:
    return layers * (12 * width**2 + 13 * width)


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
