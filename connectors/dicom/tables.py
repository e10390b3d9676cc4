"""Look-up tables of DICOM objects (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5): descriptors and entries.

Their elements are US, SS or OW; whatever an object has, entries and counts are unsigned. The first input
is signed where pixels are (Pixel Representation).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from s2sw.connectors.grey import Levels
from s2sw.schemas.outcomes import Reason, ScreeningError

MAX_ENTRIES = 1 << 16


@dataclass(frozen=True, slots=True)
class Descriptor:
    """entries: of the table; first: the input that ``entries[0]`` is the output of; bits: of an output."""

    entries: int
    first: int
    bits: int


@dataclass(frozen=True, slots=True)
class Table:
    """A look-up table of greys: ``data[0]`` is the output of input ``first``; top: the highest output."""

    first: int
    data: Levels
    top: float

    def __call__(self, values: Levels) -> Levels:
        """Map values; below the first entry to the first, above the last to the last."""
        return self.data[np.clip(values - self.first, 0, len(self.data) - 1).astype(np.intp)]


def read_descriptor(dataset: Dataset, keyword: str, little: bool, signed: bool) -> Descriptor | None:
    """Return a descriptor, None if it is absent or incomplete."""
    value = dataset.get(keyword)
    if isinstance(value, bytes) and len(value) == 6:  # of unknown representation
        value = np.frombuffer(value, "<u2" if little else ">u2").tolist()
    if value is None or isinstance(value, bytes | str) or not hasattr(value, "__len__") or len(value) != 3:
        return None
    entries, first, bits = (int(each) & 0xFFFF for each in value)
    return Descriptor(
        entries or MAX_ENTRIES, first - (1 << 16) if signed and first >= 1 << 15 else first, bits
    )


def read_entries(dataset: Dataset, keyword: str, entries: int, little: bool) -> NDArray[np.uint16] | None:
    """Return at most so many entries; None if there are none. Two entries of 8 bits may share a word."""
    if keyword not in dataset:
        return None
    element = dataset[keyword]
    value: Any = element.value
    if isinstance(value, bytes):
        if len(value) >= 2 * entries:
            return np.frombuffer(value, "<u2" if little else ">u2", entries).astype(np.uint16)
        if not little and element.VR == "OW":  # the first of two lies in the lower half of its word
            value = np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()
        return np.frombuffer(value, np.uint8)[:entries].astype(np.uint16)
    numbers = np.atleast_1d(np.asarray(value if value is not None else (), dtype=np.int64))[:entries]
    return (numbers & 0xFFFF).astype(np.uint16)


def read_table(item: Dataset, little: bool, signed: bool) -> Table | None:
    """Return the table of a LUT sequence item; None if it is incomplete. Raises MALFORMED."""
    descriptor = read_descriptor(item, "LUTDescriptor", little, signed)
    if descriptor is None:
        return None
    data = read_entries(item, "LUTData", descriptor.entries, little)
    if data is None:
        return None
    if not len(data) or not 1 <= descriptor.bits <= 16:
        raise ScreeningError(Reason.MALFORMED, "look-up table without entries or depth")
    top = (1 << descriptor.bits) - 1
    # writers that name 8 bits and store more mean what they store
    top = top if data.max() <= top else (1 << int(data.max()).bit_length()) - 1
    return Table(descriptor.first, data.astype(np.float64), float(top))
