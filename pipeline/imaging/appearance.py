"""What tells of a picture that a camera or a scanner changed, whatever it shows."""

import math

import numpy as np
from numpy.typing import NDArray


def brightness(pixels: NDArray[np.uint8]) -> float:
    """Return the mean grey level, 0..255. pixels: uint8 (rows, cols) or (rows, cols, 3)."""
    return float(pixels.mean())


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """Return the mean step between neighbouring pixels over the standard deviation, 0 for a flat picture.

    So neither brightness nor contrast changes it; blur lowers it, and noise raises it.
    """
    grey = _grey(pixels)
    values = grey.ravel().astype(np.float32)
    values -= values.mean()
    spread = math.sqrt(values @ values / values.size)
    if not spread or min(grey.shape) < 2:
        return 0.0
    return (_mean_size(grey[1:] - grey[:-1]) + _mean_size(grey[:, 1:] - grey[:, :-1])) / 2 / spread


def _mean_size(steps: NDArray[np.int16]) -> float:
    np.abs(steps, out=steps)
    return float(steps.sum(dtype=np.int64)) / steps.size


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the sum of the channels: whole numbers, which pass through the processor in half the time."""
    if pixels.ndim == 2:
        return pixels.astype(np.int16)
    grey = pixels[..., 0].astype(np.int16)
    for channel in range(1, pixels.shape[2]):
        grey += pixels[..., channel]
    return grey
