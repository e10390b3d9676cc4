"""The borders of masks, as pixels and as lines that are drawn in any size."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of the mask that have a neighbour outside of it."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def covered(mask: NDArray[np.bool_], rows: int, cols: int) -> NDArray[np.bool_]:
    """Return the mask at another size, bool (rows, cols).

    A smaller one has every pixel that the mask touches, so that no region is lost.
    """
    tops, lefts = (np.arange(to) * have // to for to, have in ((rows, mask.shape[0]), (cols, mask.shape[1])))
    # where a start repeats, as it does for a larger size, reduceat returns the pixel there
    found = np.logical_or.reduceat(np.logical_or.reduceat(mask, tops, axis=0), lefts, axis=1)
    return np.asarray(found)


def outline_path(mask: NDArray[np.bool_]) -> str:
    """Return the border of a mask as SVG path data, in pixels from the upper left corner (SVG 1.1, 8.3).

    It runs between the pixels, each straight piece by itself; empty for an empty mask.
    """
    padded = np.pad(mask, 1)
    across = padded[1:-1, 1:] != padded[1:-1, :-1]  # (rows, cols + 1): left of each pixel
    down = padded[1:, 1:-1] != padded[:-1, 1:-1]  # (rows + 1, cols): above each pixel
    upright = [f"M{x} {y}v{length}" for x, y, length in _runs(across.T)]
    return "".join(upright + [f"M{x} {y}h{length}" for y, x, length in _runs(down)])


def _runs(lines: NDArray[np.bool_]) -> Iterator[tuple[int, int, int]]:
    """Yield row, first column and length of each run of pixels within a row."""
    steps = np.diff(np.pad(lines, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps > 0)
    _, ends = np.nonzero(steps < 0)
    yield from zip(rows.tolist(), starts.tolist(), (ends - starts).tolist(), strict=True)
