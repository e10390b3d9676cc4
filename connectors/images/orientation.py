"""Turning pictures upright by their EXIF or TIFF orientation."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""By orientation (TIFF 6.0, tag 274): from pixels as stored to upright ones."""


def upright(pixels: Pixels, orientation: int) -> tuple[Pixels, tuple[str, ...]]:
    """Return pixels (rows, cols) or (rows, cols, 3) upright, and what was done."""
    if orientation not in _TURNS:
        return pixels, ()
    return np.ascontiguousarray(_TURNS[orientation](pixels)), ("orientation",)
