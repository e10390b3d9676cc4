"""Slight irregularities that every real surface has: blotches, hairlines, specks, uneven texture.

They lie on normal pictures and on defective ones alike and are fainter than any defect, so that a detector
learns to pass over them.
"""

from collections.abc import Callable

import numpy as np

from s2sw.model.synthetic.colours import Surface
from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, blurred, chance, cloud, scale
from s2sw.model.synthetic.shapes import blob, ellipse, place, stroke, walk

FAINT = (0.008, 0.04)
"""Change of brightness, weakest to strongest."""


def _blotches(rng: Rng, surface: Surface) -> Field:
    """Wide soft patches that are a little darker or brighter."""
    share = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(1, 6))):
        radius = scale(rng, 6, 50)
        one = blob(rng, place(rng, surface.where), radius, between(rng, 0.1, 0.5), max(2.0, radius * 0.5))
        share = share + np.float32(rng.choice([-1, 1])) * one
    return share


def _hairlines(rng: Rng, surface: Surface) -> Field:
    """Fine faint lines, most in about one direction: wear, wiping, tool marks."""
    direction, spread = between(rng, 0, np.pi), scale(rng, 0.03, 1.5)
    lines = [
        walk(rng, place(rng, surface.where), direction + rng.normal(0, spread), scale(rng, 15, 160), 0.03)
        for _ in range(int(rng.integers(2, 14)))
    ]
    return stroke(lines, [between(rng, 0.5, 1.5)] * len(lines)) * np.float32(rng.choice([-1.5, 1.5]))


def _specks(rng: Rng, surface: Surface) -> Field:
    """Scattered small soft dots."""
    share = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(4, 25))):
        one = ellipse(
            place(rng, surface.where), scale(rng, 0.8, 3.5), between(rng, 1, 1.8), between(rng, 0, 3), 2
        )
        share = np.maximum(share, one)
    return share * np.float32(rng.choice([-1.5, 1.5]))


def _shading(rng: Rng, surface: Surface) -> Field:
    """Slow unevenness of the whole picture."""
    return blurred(cloud(rng, between(rng, 1.6, 2.6)), scale(rng, 2, 12)) * np.float32(between(rng, 0.3, 1.5))


BLEMISHES: tuple[Callable[[Rng, Surface], Field], ...] = (_blotches, _hairlines, _specks, _shading)


def blemish(rng: Rng, surface: Surface) -> None:
    """Put up to three kinds of blemishes on a surface, in place; at times make its texture uneven."""
    image = surface.image
    if chance(rng, 0.3):
        smooth = blurred(image, 8)
        strength = np.clip(1 + between(rng, 0.1, 0.4) * blurred(cloud(rng, 2.2), 6), 0.3, 1.7)
        image = smooth + strength[..., None] * (image - smooth)
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        kind = BLEMISHES[int(rng.integers(0, len(BLEMISHES)))]
        image = image + (kind(rng, surface) * surface.where * scale(rng, *FAINT))[..., None]
    surface.image = image.astype(np.float32)
