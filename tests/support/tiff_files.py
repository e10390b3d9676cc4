"""TIFF files put together tag by tag, for what no writer would do."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

(SUBFILE, COLS, ROWS, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, STRIP_OFFSETS, ORIENTATION, SAMPLES,
 ROWS_PER_STRIP, STRIP_COUNTS, PLANAR, COLOUR_MAP, TILE_COLS, TILE_ROWS, TILE_OFFSETS, TILE_COUNTS,
 SUB_DIRECTORIES, INK_SET, EXTRA, FORMAT, SUBSAMPLING, BLACK_WHITE, LERC_OPTIONS) = (
    254, 256, 257, 258, 259, 262, 270, 273, 274, 277, 278, 279, 284, 320, 322, 323, 324, 325, 330, 332, 338,
    339, 530, 532, 50674,
)  # fmt: skip
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 16: "Q"}
Tags = dict[int, tuple[int, Sequence[int]]]
"""Type and values by tag; of rationals (type 5) twice as many values."""


@dataclass
class Page:
    """A page: its strips or tiles as stored, and its tags without their places and sizes."""

    segments: Sequence[bytes]
    tags: Tags = field(default_factory=dict)


def page(pixels: np.ndarray[Any, Any], segments: Sequence[bytes] | None = None, **more: Any) -> Page:
    """A page of (rows, cols) or (rows, cols, samples); more: tags by their names above, in lower case."""
    rows, cols = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    tags: Tags = {
        COLS: (4, [cols]), ROWS: (4, [rows]), BITS: (3, [8 * pixels.dtype.itemsize] * samples),
        COMPRESSION: (3, [1]), PHOTOMETRIC: (3, [2 if samples >= 3 else 1]), SAMPLES: (3, [samples]),
        ROWS_PER_STRIP: (4, [rows]),
    }  # fmt: skip
    for name, value in more.items():
        values = list(value) if isinstance(value, list | tuple | bytes) else [value]
        kind = (
            2 if isinstance(value, bytes) else 5 if name == "black_white" else 4 if max(values) > 65535 else 3
        )
        tags[globals()[name.upper()]] = (kind, values)
    return Page([pixels.tobytes()] if segments is None else segments, tags)


def tiff(
    *pages: Page, order: str = "<", big: bool = False, below: Sequence[Page] = (), tiles_named: bool = True
) -> bytes:
    """A file of pages; below: pages that only the first one's SubIFDs lead to.

    tiles_named: whether places and sizes of tiles stand under tags of their own, or under those of strips
    as in the files of old writers.
    """
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42))
    out += struct.pack(order + "HHQ", 8, 0, 0) if big else struct.pack(order + "I", 0)
    places = [_write(out, each, order, big, {}, tiles_named) for each in below]
    link = 8 if big else 4
    for number, each in enumerate(pages):
        extra: Tags = {SUB_DIRECTORIES: (4, places)} if places and not number else {}
        start = _write(out, each, order, big, extra, tiles_named)
        struct.pack_into(order + ("Q" if big else "I"), out, link, start)
        link = len(out) - (8 if big else 4)
    return bytes(out)


def _write(
    out: bytearray, each: Page, order: str, big: bool, extra: Mapping[int, Any], tiles_named: bool
) -> int:
    """Append strips and directory, its link last; return where the directory starts."""
    tags: Tags = {**each.tags, **extra}
    offsets = []
    for segment in each.segments:
        out += bytes(len(out) % 2)
        offsets.append(len(out))
        out += segment
    tiled = TILE_COLS in tags and tiles_named
    tags.setdefault(TILE_OFFSETS if tiled else STRIP_OFFSETS, (4, offsets))
    tags.setdefault(TILE_COUNTS if tiled else STRIP_COUNTS, (4, [len(one) for one in each.segments]))
    room, entries = (8 if big else 4), b""
    for tag in sorted(tags):
        kind, values = tags[tag]
        packed = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
        if len(packed) > room:
            out += bytes(len(out) % 2)
            place = struct.pack(order + ("Q" if big else "I"), len(out))
            out += packed
        else:
            place = packed.ljust(room, b"\0")
        count = len(values) // (2 if kind == 5 else 1)
        entries += struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count) + place
    out += bytes(len(out) % 2)
    start = len(out)
    out += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + bytes(room)
    return start
