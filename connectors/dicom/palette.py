"""Palette colour look-up tables, plain and segmented (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.tables import Descriptor, read_descriptor, read_entries
from s2sw.connectors.grey import Frame
from s2sw.schemas.outcomes import Reason, ScreeningError

_COLOURS = ("Red", "Green", "Blue")
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Palette:
    """A table of colours, uint8 (entries, 3); ``colours[0]`` is that of the stored value ``first``."""

    first: int
    colours: NDArray[np.uint8]

    def __call__(self, frame: Frame) -> NDArray[np.uint8]:
        """Return the colours of a frame (rows, cols) as (rows, cols, 3); indices outside take the ends."""
        index = frame.astype(np.int64)
        index -= self.first
        return np.take(self.colours, np.clip(index, 0, len(self.colours) - 1, out=index), axis=0)


def read_palette(dataset: Dataset, little: bool, signed: bool) -> Palette:
    """Return the palette of a data set. Raises MALFORMED."""
    descriptor = read_descriptor(dataset, "RedPaletteColorLookupTableDescriptor", little, signed)
    if descriptor is None or descriptor.bits not in (8, 16):
        raise ScreeningError(Reason.MALFORMED, "a palette without a descriptor of 8 or 16 bits")
    columns = [_column(dataset, colour, descriptor, little) for colour in _COLOURS]
    shortest = min(len(column) for column in columns)
    if not shortest:
        raise ScreeningError(Reason.MALFORMED, "palette without entries")
    colours: Frame = np.stack([column[:shortest] for column in columns], axis=-1)
    if colours.max() > 255:  # 8-bit entries may lie in 16 bits; only those above are of 16 bits
        colours = colours >> 8
    return Palette(descriptor.first, colours.astype(np.uint8))


def _column(dataset: Dataset, colour: str, descriptor: Descriptor, little: bool) -> NDArray[np.uint16]:
    plain = read_entries(dataset, f"{colour}PaletteColorLookupTableData", descriptor.entries, little)
    if plain is not None:
        return plain
    segmented = dataset.get(f"Segmented{colour}PaletteColorLookupTableData")
    if not isinstance(segmented, bytes):
        raise ScreeningError(Reason.MALFORMED, "palette without data")
    size = descriptor.bits // 8
    kind = f"{'<' if little else '>'}u{size}"
    words = np.frombuffer(segmented[: len(segmented) // size * size], kind).tolist()
    return np.asarray(_expand(words, size, descriptor.entries), dtype=np.uint16)


def _expand(words: list[int], size: int, entries: int) -> list[int]:
    """Return the entries of a segmented table, never more than its descriptor declares."""
    values: list[int] = []
    at = 0
    while at + 1 < len(words) and len(values) < entries:
        if words[at] == _INDIRECT and at + 3 < len(words):
            low, high = words[at + 2 : at + 4]
            inner = (low | high << (8 * size)) // size
            for _ in range(words[at + 1]):
                if len(values) >= entries or inner + 1 >= len(words):
                    break
                inner = _segment(words, inner, values)
            at += 4
        else:
            at = _segment(words, at, values)
    return values[:entries]


def _segment(words: list[int], at: int, values: list[int]) -> int:
    """Append one discrete or linear segment to ``values``; return where the next begins."""
    kind, length = words[at], words[at + 1]
    if kind == _DISCRETE:
        values.extend(words[at + 2 : at + 2 + length])
        return at + 2 + length
    if kind != _LINEAR or at + 2 >= len(words) or not values:
        raise ScreeningError(Reason.MALFORMED, "palette segment")
    start, end = values[-1], words[at + 2]
    values.extend(round(start + (end - start) * step / length) for step in range(1, length + 1))
    return at + 3
