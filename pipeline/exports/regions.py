"""The connected regions of a mask."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from s2sw.pipeline.exports.cases import Finding

_NEIGHBOURS = np.ones((3, 3), np.int8)  # regions that touch at a corner are one


@dataclass(frozen=True)
class Region:
    """A region: inside, bool, within its box; left, top in pixels; score: the map's highest value in it."""

    inside: NDArray[np.bool_]
    left: int
    top: int
    score: float

    @property
    def pixels(self) -> int:
        """How many it has."""
        return int(self.inside.sum())

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width, height, in pixels."""
        height, width = self.inside.shape
        return self.left, self.top, width, height


def regions(finding: Finding) -> Iterator[Region]:
    """Yield the regions of a finding's mask, from top to bottom."""
    heat, mask = finding.drawn()
    labels, _ = scipy.ndimage.label(mask, _NEIGHBOURS)
    for number, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        inside = labels[box] == number
        down, across = box
        yield Region(inside, across.start, down.start, float(heat[box][inside].max()))
