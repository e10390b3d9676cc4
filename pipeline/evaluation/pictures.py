"""Pictures of an evaluation for its page: the picture, the map over it, and the true outline."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.datasets import DataSet
from s2sw.connectors.datasets.pictures import fit_mask, read_mask, read_picture
from s2sw.model.detectors.contract import Detector
from s2sw.pipeline.evaluation.figures import Kept
from s2sw.pipeline.evaluation.measuring import Measuring
from s2sw.pipeline.imaging.encoding import data_uri
from s2sw.pipeline.imaging.overlays import overlay

SIDE = 480  # pixels of the longer side


def drawn(detector: Detector, kept: Kept, data: DataSet, how: Measuring) -> str:
    """Return a kept picture beside itself with the map in colours and the true mask outlined, a data URI."""
    pixels, mask = small_picture(data, kept.scored.place, how)
    heat = detector.full_map(kept.token_map[None], pixels.shape[:2])[0]
    return data_uri(overlay(pixels, heat, mask))


def plain(data: DataSet, place: int, how: Measuring) -> str:
    """Return a picture beside itself with the true mask outlined, a data URI."""
    pixels, mask = small_picture(data, place, how)
    return data_uri(overlay(pixels, np.zeros(mask.shape, np.float32), mask))


def small_picture(data: DataSet, place: int, how: Measuring) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a sample's picture, at most SIDE pixels long, and its mask at that size, empty for none."""
    sample = data.samples[place]
    image = Image.fromarray(read_picture(sample, how.storage, how.decoding))
    image.thumbnail((SIDE, SIDE))
    pixels = np.asarray(image)
    rows, cols = pixels.shape[:2]
    mask = read_mask(sample, how.storage, how.decoding)
    return pixels, np.zeros((rows, cols), dtype=bool) if mask is None else fit_mask(mask, rows, cols)
