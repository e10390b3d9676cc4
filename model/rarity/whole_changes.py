"""Known changes of whole pictures of an archive, as a fault of a camera or of its light makes them.

They have no place and no size: a defect of an object is seeded by ``model.rarity.seeding``.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from s2sw.model.rarity.seeding import TRIES, WHOLE, Seed
from s2sw.model.synthetic.fields import SIDE, Field, Rng, blurred, chance, scale

LEAST_CHANGE = 0.004
"""Mean change of the picture, of 0..1, below which it is drawn again: about one grey level."""


def changed(rng: Rng, picture: NDArray[np.uint8], kind: str) -> Seed | None:
    """Return a picture, uint8 (S, S, 3), changed as a whole by one of CHANGES; None where none would show."""
    image = picture.astype(np.float32) / 255
    for attempt in range(TRIES):
        strength = min(0.6, scale(rng, 0.02, 0.3) * 1.3**attempt)
        whole = np.clip(255 * CHANGES[kind](rng, image, strength), 0, 255).round()
        contrast = float(np.abs(whole - picture).mean()) / 255
        if contrast >= LEAST_CHANGE:
            return Seed(whole.astype(np.uint8), WHOLE, contrast)
    return None


def brightness(rng: Rng, image: Field, strength: float) -> Field:
    """Make it all brighter or darker."""
    return image + _sign(rng) * np.float32(strength)


def contrast(rng: Rng, image: Field, strength: float) -> Field:
    """Spread or narrow the grey values around their mean."""
    factor = np.float32((1 + 4 * strength) ** _sign(rng))
    mean = np.float32(image.mean())
    return np.asarray(mean + factor * (image - mean))


def gradient(rng: Rng, image: Field, strength: float) -> Field:
    """Make one side brighter and the opposite one darker."""
    rows, cols = (np.linspace(-1, 1, length, dtype=np.float32) for length in image.shape[:2])
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.float32(np.sin(angle)) * rows[:, None] + np.float32(np.cos(angle)) * cols
    return image + np.float32(2 * strength) * ramp[..., None]


def blur(rng: Rng, image: Field, strength: float) -> Field:
    """Put it out of focus."""
    return blurred(image, 15 * strength * len(image) / SIDE)


def noise(rng: Rng, image: Field, strength: float) -> Field:
    """Add noise, of all colours alike where the picture is grey."""
    grey = bool((image == image[..., :1]).all())
    grain = rng.standard_normal((*image.shape[:2], 1 if grey else 3), dtype=np.float32)
    return image + np.float32(strength) * grain


Change = Callable[[Rng, Field, float], Field]
CHANGES: dict[str, Change] = {
    change.__name__: change for change in (brightness, contrast, gradient, blur, noise)
}


def _sign(rng: Rng) -> int:
    return 1 if chance(rng, 0.5) else -1
