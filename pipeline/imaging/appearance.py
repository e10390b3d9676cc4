"""What tells of a picture that a camera or a scanner changed, whatever it shows."""

import numpy as np
from numpy.typing import NDArray


def brightness(pixels: NDArray[np.uint8]) -> float:
    """Return the mean grey level, 0..255. pixels: uint8 (rows, cols) or (rows, cols, 3)."""
    return float(pixels.mean())


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """Return the mean step between neighbouring pixels over the standard deviation, 0 for a flat picture.

    So neither brightness nor contrast changes it; blur lowers it, and noise raises it.
    """
    grey = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1).mean(2)
    spread = float(grey.std())
    if not spread or min(grey.shape) < 2:
        return 0.0
    steps = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return float(steps / 2 / spread)
