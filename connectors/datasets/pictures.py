"""The pixels of a sample: its picture as the screening decodes it, and its mask at any size."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.datasets.samples import DataSetError, Sample
from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.connectors.storage.objects import read_object, stat_object
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.storage import StorageSettings


def read_bytes(address: str, storage: StorageSettings, decoding: DecodeSettings) -> bytes:
    """Return the bytes of a picture or mask. Raises DataSetError that names it."""
    try:
        return read_object(stat_object(address, storage), storage, decoding.limits.object_bytes)
    except ScreeningError as error:
        raise DataSetError(f"{address}: cannot be read ({error.reason})") from error


def read_picture(sample: Sample, storage: StorageSettings, decoding: DecodeSettings) -> NDArray[np.uint8]:
    """Return a sample's picture, uint8 (rows, cols) or (rows, cols, 3). Raises DataSetError."""
    return read_slice(sample, storage, decoding).pixels


def read_slice(sample: Sample, storage: StorageSettings, decoding: DecodeSettings) -> Slice:
    """Return a sample's picture and where its pixels lie. Raises DataSetError."""
    return _decode(sample.image, read_bytes(sample.image, storage, decoding), decoding)


def read_mask(sample: Sample, storage: StorageSettings, decoding: DecodeSettings) -> NDArray[np.bool_] | None:
    """Return a sample's mask, bool (rows, cols) at its own size; None where it has none.

    Every pixel above 0 is anomalous: VisA's masks hold numbers of kinds. Raises DataSetError.
    """
    if sample.mask is None:
        return None
    whole_range = decoding.model_copy(update={"percentiles": (0.0, 100.0)})  # of 16 bits: 0 stays 0
    pixels = decode_picture(sample.mask, read_bytes(sample.mask, storage, decoding), whole_range)
    return (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0


def fit_mask(mask: NDArray[np.bool_], rows: int, cols: int) -> NDArray[np.bool_]:
    """Return a mask at another size, bool (rows, cols): pixels that it covers by half or more.

    By antialiased bilinear resampling and a threshold of one half, as published evaluations do.
    """
    if mask.shape == (rows, cols):
        return mask
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((cols, rows), Image.Resampling.BILINEAR)) > 127


def decode_picture(address: str, data: bytes, decoding: DecodeSettings) -> NDArray[np.uint8]:
    """Return the one picture in a file, uint8 (rows, cols) or (rows, cols, 3). Raises DataSetError."""
    return _decode(address, data, decoding).pixels


def _decode(address: str, data: bytes, decoding: DecodeSettings) -> Slice:
    try:
        _, slices = decode(data, decoding)
        first, second = next(slices, None), next(slices, None)
    except ScreeningError as error:
        raise DataSetError(f"{address}: cannot be decoded ({error.reason}); leave it out") from error
    if first is None or second is not None:
        raise DataSetError(f"{address}: holds several slices or none; a data set has one picture a file")
    return first
