"""Parts of real photographs as normal surfaces: scikit-image's sample pictures, read from the package.

They are in the public domain or under CC0 (see ``skimage.data``): textures, things, stars, tissue.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from s2sw.model.errors import BundleError
from s2sw.model.synthetic.colours import Surface, colour, surface
from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, chance, scale

PACKAGE = "skimage"
NAMES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png",
    "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
    "retina.jpg", "rocket.jpg",
)  # fmt: skip
SMALLEST = 100
"""Side of the smallest part, pixels of the photograph."""


def photographs_folder() -> Path:
    """Return where the sample pictures lie; the package is not imported. BundleError where it is missing."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BundleError("photographs as surfaces need scikit-image: pip install 's2sw[train]'")
    return Path(spec.submodule_search_locations[0]) / "data"


@lru_cache(maxsize=len(NAMES))
def _photograph(name: str) -> Image.Image:
    return Image.open(photographs_folder() / name).convert("RGB")


def photograph(rng: Rng) -> Surface:
    """A square part of a photograph, turned or mirrored, at times grey, of another contrast or tint."""
    whole = _photograph(NAMES[int(rng.integers(0, len(NAMES)))])
    side = int(scale(rng, SMALLEST, min(whole.size)))
    left, top = (int(rng.integers(0, length - side + 1)) for length in whole.size)
    part = whole.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    image: Field = np.rot90(np.asarray(part, np.float32) / 255, int(rng.integers(0, 4)))
    image = image[:, ::-1] if chance(rng, 0.5) else image
    if chance(rng, 0.4):
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if chance(rng, 0.4):
        image = image.mean() + (image - image.mean()) * between(rng, 0.3, 1.2)
    if chance(rng, 0.2):
        image = image * (0.4 + 0.6 * colour(rng, 0.4, 1.0))
    return surface(rng, np.ascontiguousarray(image, np.float32))
