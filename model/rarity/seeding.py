"""Known defects put into pictures of an archive, to see what finds them there.

Kinds that no training of ours draws, pieces of other pictures, and removals. Each is drawn at the side that
generated pictures have; only the change is brought to the picture's own, so that the rest stays as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from s2sw.model.synthetic.colours import Surface
from s2sw.model.synthetic.defects import Defect
from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, blurred, scale
from s2sw.model.synthetic.kinds import DEFECTS, HELD_OUT_DEFECTS
from s2sw.model.synthetic.shapes import blob, place

KINDS = (*HELD_OUT_DEFECTS, "piece", "removal")
TRIES = 6
DARK = 0.04
"""Grey value up to which a pixel is ground, where a large part of the picture is."""
GROUND_SHARE = 0.25
LEAST_CONTRAST = 0.02
"""Mean change within a defect's mask, of 0..1, below which it is drawn again."""
LEAST_AREA = 12
"""Pixels of a mask at SIDE."""
WHOLE = 1.0
"""Size of a change of the whole picture (``model.rarity.whole_changes``); that of a defect is smaller."""


@dataclass(frozen=True)
class Seed:
    """A spoilt picture, uint8 (S, S, 3), with the defect's share of its area and its mean change, 0..1."""

    picture: NDArray[np.uint8]
    size: float
    contrast: float


def seeded(rng: Rng, picture: NDArray[np.uint8], donor: NDArray[np.uint8], kind: str) -> Seed | None:
    """Return a picture (S, S, 3) with a defect of one of KINDS; None where none would show.

    donor: the picture that a piece is taken from, of the same shape.
    """
    image, other = _small(picture), _small(donor)
    surface = Surface(image, _body(image), np.zeros(3, np.float32))
    for attempt in range(TRIES):
        size = min(60.0, scale(rng, 5, 32) * 1.2**attempt)
        strength = min(0.9, scale(rng, 0.12, 0.6) * 1.3**attempt)
        changed, share = _draw(kind, rng, surface, other, size, strength)
        change = np.clip(changed, 0, 1).astype(np.float32) - image
        mask = (share > 0.25) & (np.abs(change).mean(axis=2) > LEAST_CONTRAST / 2)
        if not LEAST_AREA <= mask.sum() < mask.size:
            continue
        contrast = float(np.abs(change).mean(axis=2)[mask].mean())
        if contrast >= LEAST_CONTRAST:
            return Seed(_added(picture, change), float(mask.mean()), contrast)
    return None


def _draw(
    kind: str, rng: Rng, surface: Surface, other: Field, size: float, strength: float
) -> tuple[Field, Field]:
    if kind in HELD_OUT_DEFECTS:
        defect: Defect = DEFECTS[kind]
        return defect(rng, surface, size, strength)
    centre = place(rng, surface.where)
    share = blob(rng, centre, size, between(rng, 0.05, 0.5), 2.0) * surface.where
    if kind == "piece":
        shift = rng.integers(-SIDE // 4, SIDE // 4 + 1, 2)
        filling = np.roll(other, tuple(int(s) for s in shift), axis=(0, 1))
    else:
        filling = _surroundings(surface.image, share, size)
    return surface.image + share[..., None] * (filling - surface.image), share


def _surroundings(image: Field, share: Field, size: float) -> Field:
    """Return the picture's colours around a place, smoothly continued into it."""
    weight = 1 - np.clip(share, 0, 1)
    around = blurred(weight, size) + np.float32(1e-3)
    filled = [blurred(image[..., channel] * weight, size) / around for channel in range(3)]
    return np.stack(filled, axis=-1).astype(np.float32)


def _body(image: Field) -> NDArray[np.bool_]:
    """Return where a defect may lie: not on a black ground."""
    bright = image.mean(axis=2) > DARK
    if bright.mean() > 1 - GROUND_SHARE:
        return np.ones_like(bright)
    body = ndimage.binary_erosion(ndimage.binary_fill_holes(bright), iterations=3)
    return np.asarray(body) if body.any() else np.ones_like(bright)


def _small(picture: NDArray[np.uint8]) -> Field:
    small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32) / 255


def _added(picture: NDArray[np.uint8], change: Field) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    channels = [
        np.asarray(Image.fromarray(change[..., channel]).resize((width, height), Image.Resampling.BILINEAR))
        for channel in range(3)
    ]
    whole = np.clip(picture + 255 * np.stack(channels, axis=-1), 0, 255).round()
    return np.asarray(whole, np.uint8)
