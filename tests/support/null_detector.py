"""A detector that costs nothing, to see what the pipeline around it costs."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from s2sw.model.detectors.contract import Detection
from s2sw.model.maps import MapLayer
from tests.support.null_stages import SIDE

GRID, FAMILIES = 4, 4
LOW = 0.25
"""Below the threshold, as nearly every picture of an archive: its mask is empty."""


class NullDetector:
    """Scores every picture LOW; its map is highest in one place, as maps are, there by a tenth."""

    class_names: tuple[str, ...] = ()

    def __init__(self, side: int = SIDE, grid: int = GRID) -> None:
        self.image_size, self.grid = side, grid
        self.map_layers = (MapLayer(grid, side),)

    def detect(self, images: NDArray[np.uint8], class_names: Sequence[str] | None = None) -> Detection:
        count = len(images)
        score = torch.full((count,), LOW)
        maps = torch.full((count, self.grid, self.grid), LOW * 0.9)
        maps[:, self.grid // 3, self.grid // 2] = LOW
        return Detection(score, score[:, None].expand(-1, FAMILIES), maps)
