"""Directories of a TIFF or BigTIFF: the tags that decide pixels, read within bounds (TIFF 6.0 section 2)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import ceil
from typing import Any

import numpy as np

from s2sw.connectors.preflight.limits import check_frames
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError


class Tag(IntEnum):
    """The tags that decide pixels; no others are read."""

    SUBFILE = 254
    OLD_SUBFILE = 255
    COLS = 256
    ROWS = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    DESCRIPTION = 270
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_COUNTS = 279
    PLANAR = 284
    FAX_OPTIONS = 292
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_COLS = 322
    TILE_ROWS = 323
    TILE_OFFSETS = 324
    TILE_COUNTS = 325
    SUB_DIRECTORIES = 330
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    SUBSAMPLING = 530
    BLACK_WHITE = 532
    DEPTH = 32997
    TILE_DEPTH = 32998
    STACK_PLANES = 33629
    ICC_PROFILE = 34675
    LERC_OPTIONS = 50674


_WANTED = frozenset(Tag)
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_FRACTIONS = {5: "u4", 10: "i4"}
_BYTES = frozenset((2, 7))
_REDUCED, _MASK = 1, 4
MAX_SAMPLES = 4096
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR = range(7)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

Value = bytes | tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: its byte order, and the values of the tags in ``Tag`` that it has.

    repeated: whether a tag comes twice; readers differ on which counts (the first, here).
    shift: bytes to add to all offsets, for planes that lie behind the ones the directory points to.
    """

    order: str
    values: dict[int, Value]
    repeated: bool = False
    shift: int = 0

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first number of a tag."""
        return int(self.numbers(tag, (default,))[0])

    def numbers(self, tag: int, default: Sequence[Any] = ()) -> tuple[Any, ...]:
        """Return all numbers of a tag; ``default`` if there are none."""
        value = self.values.get(tag, ())
        return value if isinstance(value, tuple) and value else tuple(default)

    @property
    def size(self) -> tuple[int, int, int]:
        """Planes in depth, rows and columns."""
        return max(1, self.number(Tag.DEPTH, 1)), self.number(Tag.ROWS), self.number(Tag.COLS)

    @property
    def samples(self) -> int:
        """Samples of a pixel; 0 of a number that cannot be."""
        count = self.number(Tag.SAMPLES, 1)
        return count if 0 < count <= MAX_SAMPLES else 0

    @property
    def bits(self) -> tuple[int, ...]:
        """Bits of each sample of a pixel; one value stands for all."""
        bits = self.numbers(Tag.BITS, (1,))
        return bits[: self.samples] if len(bits) >= self.samples else (bits[0],) * self.samples

    @property
    def sample_format(self) -> int:
        """UNSIGNED, SIGNED, FLOAT or another; 0 where samples differ. Undefined ones count as unsigned."""
        formats = {UNSIGNED if each == 4 else each for each in self.numbers(Tag.SAMPLE_FORMAT, (UNSIGNED,))}
        return formats.pop() if len(formats) == 1 else 0

    @property
    def photometric(self) -> int:
        """Its photometric interpretation; where there is none, by the samples of a pixel, as in libtiff."""
        return self.number(Tag.PHOTOMETRIC, RGB if self.samples >= 3 else BLACK_IS_ZERO)

    @property
    def planar(self) -> bool:
        """Whether the samples of a pixel lie in planes of their own."""
        return self.number(Tag.PLANAR, 1) == 2 and self.samples > 1

    @property
    def chroma(self) -> tuple[int, int]:
        """Columns and rows that a sample of chroma covers (TIFF 6.0 section 21)."""
        if self.photometric != YCBCR:
            return 1, 1
        found = self.numbers(Tag.SUBSAMPLING, (2, 2))
        return int(found[0]), int(found[-1])

    @property
    def tiled(self) -> bool:
        """Whether it has tiles; old writers keep their offsets under the tags of strips."""
        return Tag.TILE_COLS in self.values

    @property
    def segment(self) -> tuple[int, int, int]:
        """Planes in depth, rows and columns of a strip or tile."""
        _, rows, cols = self.size
        if self.tiled:
            return (
                max(1, self.number(Tag.TILE_DEPTH, 1)),
                self.number(Tag.TILE_ROWS),
                self.number(Tag.TILE_COLS),
            )
        return 1, min(rows, self.number(Tag.ROWS_PER_STRIP, rows) or rows), cols

    @property
    def segments(self) -> int:
        """How many strips or tiles the picture takes."""
        each = (ceil(whole / part) for whole, part in zip(self.size, self.segment, strict=True))
        return int(np.prod(list(each), dtype=object)) * (self.samples if self.planar else 1)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where its strips or tiles lie; 0 of one that is not stored."""
        found = self.numbers(Tag.TILE_OFFSETS) or self.numbers(Tag.STRIP_OFFSETS)
        return tuple(each + self.shift if each else 0 for each in found)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many bytes each takes as stored."""
        return self.numbers(Tag.TILE_COUNTS) or self.numbers(Tag.STRIP_COUNTS)

    @property
    def reduced(self) -> bool:
        """Whether it is a smaller version of another page (NewSubfileType, or SubfileType before it)."""
        return bool(self.number(Tag.SUBFILE) & _REDUCED) or self.number(Tag.OLD_SUBFILE) == 2

    @property
    def mask(self) -> bool:
        """Whether it is the transparency mask of another page."""
        return bool(self.number(Tag.SUBFILE) & _MASK) or self.number(Tag.PHOTOMETRIC, BLACK_IS_ZERO) == MASK

    @property
    def packed_bits(self) -> int:
        """Bits of the whole picture, unpacked and without padding."""
        return int(np.prod(self.size, dtype=object)) * sum(self.bits)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all strips or tiles as stored; 0 where the directory does not say."""
        return sum(self.counts[: self.segments])


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    count: struct.Struct
    offset: struct.Struct
    entry: struct.Struct
    first: int


def _layout(data: bytes) -> _Layout:
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in (b"+\x00", b"\x00+"):
        return _Layout(order, struct.Struct(order + "Q"), struct.Struct(order + "Q"),
                       struct.Struct(order + "HHQ8s"), 8)  # fmt: skip
    return _Layout(order, struct.Struct(order + "H"), struct.Struct(order + "I"),
                   struct.Struct(order + "HHI4s"), 4)  # fmt: skip


def chain(data: bytes, limits: Limits) -> list[int]:
    """Return the offsets of the directories that a TIFF chains, each once however they point.

    A directory outside the file ends the chain, as readers take it. Raises TOO_LARGE.
    """
    layout = _layout(data)
    found: dict[int, None] = {}
    at = layout.first
    while at + layout.offset.size <= len(data):
        directory = layout.offset.unpack_from(data, at)[0]
        if directory in found or not 0 < directory <= len(data) - layout.count.size:
            break
        found[directory] = None
        check_frames(len(found), limits)
        entries = layout.count.unpack_from(data, directory)[0]
        at = directory + layout.count.size + layout.entry.size * entries
    return list(found)


def read_directory(data: bytes, at: int) -> Directory:
    """Return the directory at an offset. Raises TRUNCATED (a tag lies outside the file), MALFORMED."""
    layout = _layout(data)
    entries = layout.count.unpack_from(data, at)[0] if at + layout.count.size <= len(data) else 0
    start = at + layout.count.size
    values: dict[int, Value] = {}
    repeated = False
    for place in range(start, min(start + entries * layout.entry.size, len(data)), layout.entry.size):
        if place + layout.entry.size > len(data):
            raise ScreeningError(Reason.TRUNCATED, "the file ends within a TIFF directory")
        tag, kind, count, inline = layout.entry.unpack_from(data, place)
        if tag not in _WANTED:
            continue
        if tag in values:
            repeated = True
            continue
        value = _value(data, layout, kind, count, inline)
        if value is not None:
            values[tag] = value
    return Directory(layout.order, values, repeated)


def _value(data: bytes, layout: _Layout, kind: int, count: int, inline: bytes) -> Value | None:
    """Return the value of an entry; None of a type that no tag here has."""
    pair = 2 if kind in _FRACTIONS else 1
    code = _NUMBERS.get(kind) or _FRACTIONS.get(kind) or ("u1" if kind in _BYTES else None)
    if code is None:
        return None
    dtype = np.dtype(layout.order + code)
    size = dtype.itemsize * count * pair
    offset = 0
    source = inline
    if size > len(inline):
        source, offset = data, layout.offset.unpack(inline)[0]
        if offset + size > len(data):
            raise ScreeningError(Reason.TRUNCATED, "a TIFF tag points beyond the end of the file")
    if kind in _BYTES:
        return source[offset : offset + size]
    numbers = np.frombuffer(source, dtype, count * pair, offset)
    if pair == 1:
        return tuple(numbers.tolist())
    tops, bottoms = numbers[::2].tolist(), numbers[1::2].tolist()
    return tuple(top / bottom if bottom else 0.0 for top, bottom in zip(tops, bottoms, strict=True))
