"""Connected anomalous regions of a mask."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EIGHT = np.ones((3, 3), dtype=np.uint8)
"""Pixels that touch at a corner belong together, as in published evaluations."""


def region_areas(mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint32], int]:
    """Return the area in pixels of the region of every pixel in the mask, in row order, and how many regions.

    mask: bool (rows, cols).
    """
    labels, count = ndimage.label(mask, structure=EIGHT)
    areas = np.bincount(labels.ravel()).astype(np.uint32)
    return areas[labels[mask]], int(count)
