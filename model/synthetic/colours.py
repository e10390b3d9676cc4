"""Colours: from scalar fields to pictures through random palettes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, chance

Colour = Field
"""RGB, (3,), 0..1."""


@dataclass(slots=True)
class Surface:
    """A normal picture before the camera.

    image: (SIDE, SIDE, 3), about 0..1. where: (SIDE, SIDE) bool, the part that can have a defect.
    behind: the colour that shows where something is missing. steady: its brightness says something, since
    such pictures are all taken alike. own: names of defects that belong to this kind of surface.
    """

    image: Field
    where: NDArray[np.bool_]
    behind: Colour
    steady: bool = False
    own: tuple[str, ...] = ()


def colour(rng: Rng, low: float = 0.0, high: float = 1.0, saturation: float = 0.5) -> Colour:
    """Draw a colour whose luminance lies in low..high; grey in a third of all cases."""
    level = between(rng, low, high)
    if chance(rng, 0.35):
        return np.full(3, level, np.float32)
    tint = rng.uniform(-1, 1, 3) * saturation * rng.random() * min(level + 0.1, 1.1 - level)
    return np.asarray(np.clip(level + tint - tint.mean(), 0, 1), np.float32)


def mix(share: Field, low: Colour, high: Colour) -> Field:
    """Blend two colours by a share (SIDE, SIDE) in 0..1: (SIDE, SIDE, 3)."""
    return low + share[..., None] * (high - low)


def near(rng: Rng, base: Colour, spread: float) -> Colour:
    """Draw a colour near another: mostly a change of brightness."""
    change = rng.normal(0, spread) + rng.normal(0, spread * 0.3, 3)
    return np.clip(base + change, 0, 1).astype(np.float32)


def painted(rng: Rng, field: Field, contrast: float | None = None, base: Colour | None = None) -> Field:
    """Colour a standardised field: a base colour, and another towards which the field moves it.

    contrast: standard deviation of the luminance; drawn from faint to strong where None.
    """
    base = colour(rng, 0.15, 0.85) if base is None else base
    amount = contrast if contrast is not None else 0.01 + 0.14 * rng.random() ** 2
    direction = np.ones(3) + rng.normal(0, 0.25, 3) * (rng.random() < 0.6)
    return (base + (field[..., None] * (amount * direction)).astype(np.float32)).astype(np.float32)


def everywhere() -> NDArray[np.bool_]:
    """Return a mask that allows defects everywhere."""
    return np.ones((SIDE, SIDE), bool)


def surface(rng: Rng, image: Field, where: NDArray[np.bool_] | None = None) -> Surface:
    """Wrap a picture that fills the frame; behind it lies something dark or bright."""
    behind = colour(rng, 0.0, 0.25) if chance(rng, 0.6) else colour(rng, 0.6, 1.0)
    return Surface(image, everywhere() if where is None else where, behind)
