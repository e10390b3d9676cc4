"""Pictures of an evaluation for its page: the picture, the map over it, and the true outline."""

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.datasets import DataSet
from s2sw.connectors.datasets.pictures import read_mask, read_slice
from s2sw.connectors.slices import Slice
from s2sw.model.detectors.contract import Detector
from s2sw.pipeline.evaluation.figures import Kept
from s2sw.pipeline.evaluation.measuring import Measuring
from s2sw.pipeline.imaging.encoding import fitting
from s2sw.pipeline.pages.overlaid import Overlaid, overlaid

SIDE = 480  # pixels of the longer side


def drawn(detector: Detector, kept: Kept, data: DataSet, how: Measuring) -> Overlaid:
    """Return a kept picture with the map in colours and the true mask outlined. Raises DataSetError."""
    picture, mask = _read(data, kept.scored.place, how)
    rows, cols = picture.pixels.shape[:2]
    heat = detector.full_map(kept.token_map[None], fitting(rows, cols, SIDE))[0]
    return overlaid(picture.pixels, heat, mask, picture.geometry, SIDE)


def plain(data: DataSet, place: int, how: Measuring) -> Overlaid:
    """Return a picture with the true mask outlined. Raises DataSetError."""
    picture, mask = _read(data, place, how)
    return overlaid(picture.pixels, None, mask, picture.geometry, SIDE)


def _read(data: DataSet, place: int, how: Measuring) -> tuple[Slice, NDArray[np.bool_]]:
    """Return a sample's picture and its mask, bool, of any size; of the picture's and empty for none."""
    sample = data.samples[place]
    picture = read_slice(sample, how.storage, how.decoding)
    mask = read_mask(sample, how.storage, how.decoding)
    return picture, np.zeros(picture.pixels.shape[:2], np.bool_) if mask is None else mask
