"""Boxes of the ISO base media file format (ISO/IEC 14496-12 4.2): JP2, JPEG XL and AVIF lie in them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_BOXES = 10_000


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its four-letter type, and where its content starts and ends."""

    kind: bytes
    start: int
    end: int


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes that lie one after another; the walk ends where one contradicts the bytes.

    The last may be cut: then it ends where the bytes do.
    """
    end = len(data) if end is None else min(end, len(data))
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1 and start + 16 <= end:
            length, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif length == 0:
            length = end - start
        if length < head:
            return
        yield Box(kind, start + head, min(start + length, end))
        start += length


def find(data: bytes, *path: bytes, start: int = 0, end: int | None = None) -> Box | None:
    """Return the first box at a path of types, the last of them the innermost; None if there is none."""
    for box in boxes(data, start, end):
        if box.kind == path[0]:
            if len(path) == 1:
                return box
            return find(data, *path[1:], start=box.start, end=box.end)
    return None
