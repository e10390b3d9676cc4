"""A CT series of single files: oblique, with pixels that are no squares, named in no order."""

from functools import lru_cache
from io import BytesIO

import numpy as np
import pydicom
from numpy.typing import NDArray

from tests.support.archives import dicom_file

SLICES = 12
ROWS, COLS = 72, 96
SPACING = (1.5, 0.75)
STEP = 2.5
ORDER = np.random.default_rng(5).permutation(SLICES)
"""Of the slices from the lowest up: the number in the file's name."""


def directions() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return unit vectors along a row, along a column, and from slice to slice."""
    turn = np.deg2rad(14)
    row = np.array([1.0, 0, 0])
    column = np.array([0, np.cos(turn), np.sin(turn)])
    return row, column, np.cross(row, column)


def position(place: int) -> NDArray[np.float64]:
    return np.array([-40.0, -60.0, 15.0]) + place * STEP * directions()[2]


def hounsfield(place: int) -> NDArray[np.int16]:
    """Return the values of a slice: water in air with a bright lesion in the middle slices."""
    rows, cols = np.mgrid[0:ROWS, 0:COLS]
    body = np.where(((rows - 36) / 30) ** 2 + ((cols - 48) / 40) ** 2 < 1, 30, -1000)
    lesion = ((rows - 30) / 5) ** 2 + ((cols - 60) / 9) ** 2 + ((place - 6) / 2) ** 2
    noise = np.random.default_rng(place).normal(0, 4, body.shape)
    return np.asarray(body + 400 * np.exp(-lesion) + noise).astype(np.int16)


def series_name(place: int) -> str:
    """Return the path of the file of a slice, 0 is the lowest."""
    return f"ward/series/im-{ORDER[place]}.dcm"


@lru_cache(maxsize=1)
def series_files() -> dict[str, bytes]:
    """Return the files by path. Instance numbers run from the top down."""
    return {series_name(place): _file(place) for place in range(SLICES)}


def _file(place: int) -> bytes:
    dataset = pydicom.dcmread(BytesIO(dicom_file()))
    row, column, _ = directions()
    dataset.ImageOrientationPatient = [f"{value:.10g}" for value in (*row, *column)]
    dataset.ImagePositionPatient = [f"{value:.10g}" for value in position(place)]
    dataset.PixelSpacing = list(SPACING)
    dataset.SliceThickness = STEP
    dataset.InstanceNumber = SLICES - place
    dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.77.{place}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.78"
    dataset.Rows, dataset.Columns = ROWS, COLS
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.PixelData = (hounsfield(place) + 1024).astype("<i2").tobytes()
    dataset.PixelRepresentation = 1
    for keyword in ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
        if keyword in dataset:
            del dataset[keyword]
    sink = BytesIO()
    dataset.save_as(sink)
    return sink.getvalue()
