"""From token maps to full maps: one fixed linear operator on each axis. Needs only NumPy.

Upsampling (bilinear), smoothing (SciPy's Gaussian) and the resize to a picture's own size are linear and
separable, so the full map is ``rows @ token_map @ columns.T``, exactly, for any stored token map.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SIGMA = 4.0
TRUNCATE = 4.0

Operator = NDArray[np.float64]


def bilinear(source: int, target: int) -> Operator:
    """Return (target, source): bilinear resizing along one axis, align_corners=False, no antialiasing."""
    centre = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
    low = np.minimum(np.floor(centre).astype(int), source - 1)
    high = np.minimum(low + 1, source - 1)
    share = centre - low
    operator = np.zeros((target, source))
    rows = np.arange(target)
    np.add.at(operator, (rows, low), 1 - share)
    np.add.at(operator, (rows, high), share)
    return operator


def gaussian(size: int, sigma: float = SIGMA) -> Operator:
    """Return (size, size): SciPy's gaussian_filter1d with mode ``reflect`` and truncate 4."""
    radius = int(TRUNCATE * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    index = (np.arange(size)[:, None] + offsets) % (2 * size)
    index = np.where(index < size, index, 2 * size - 1 - index)  # d c b a | a b c d | d c b a
    operator = np.zeros((size, size))
    np.add.at(operator, (np.arange(size)[:, None], index), weights)
    return operator


@lru_cache(maxsize=64)
def axis_operator(grid: int, side: int, length: int, *, smooth: bool = True) -> NDArray[np.float32]:
    """Return (length, grid): one axis of the way from a token map to a full map (read-only).

    grid: tokens along the axis; side: the detector's input side S; length: pixels of the result.
    """
    operator = bilinear(grid, side)
    if smooth:
        operator = gaussian(side) @ operator
    if length != side:
        operator = bilinear(side, length) @ operator
    result = operator.astype(np.float32)
    result.setflags(write=False)
    return result


def full_map(
    token_map: NDArray[np.floating], side: int, size: tuple[int, int] | None = None, smooth: bool = True
) -> NDArray[np.float32]:
    """Return the full map (B, rows, cols), or (rows, cols) for one token map, in 0..1.

    token_map: (B, g, g) or (g, g), 0..1. side: the detector's input side S in pixels.
    size: (rows, cols) of the result; None is (S, S). smooth: with the Gaussian of sigma 4 at S x S.
    """
    tokens = np.asarray(token_map, dtype=np.float32)
    rows, cols = size or (side, side)
    down = axis_operator(tokens.shape[-2], side, rows, smooth=smooth)
    across = axis_operator(tokens.shape[-1], side, cols, smooth=smooth)
    return np.asarray(down @ tokens @ across.T, np.float32)
