"""The blocks of a GIF (GIF89a specification), walked to count its frames before any is decoded."""

import struct
from dataclasses import dataclass

from s2sw.connectors.preflight.limits import check_frames
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_HEADER_BYTES = 13


@dataclass(frozen=True, slots=True)
class GifHeader:
    """Rows and columns that all frames together take, and how many frames there are."""

    rows: int
    cols: int
    frames: int


def read_gif(data: bytes, limits: Limits) -> GifHeader:
    """Return size and number of frames. Raises TRUNCATED (ends within a block), MALFORMED, TOO_LARGE.

    A file that ends behind a block, without its trailer, counts as whole, as readers take it.
    """
    if len(data) < _HEADER_BYTES:
        raise ScreeningError(Reason.TRUNCATED, "the file ends within the GIF header")
    cols, rows, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = _HEADER_BYTES + _table_bytes(flags), 0
    while at < len(data) and data[at] != _TRAILER:
        if data[at] == _EXTENSION:
            at = _after_blocks(data, at + 2)
        elif data[at] == _IMAGE and at + 10 < len(data):
            left, top, wide, high, flags = struct.unpack_from("<4HB", data, at + 1)
            cols, rows = max(cols, left + wide), max(rows, top + high)
            frames += 1
            check_frames(frames, limits)
            at = _after_blocks(data, at + 10 + _table_bytes(flags) + 1)
        elif data[at] == 0:
            at += 1  # some writers leave an empty block behind a frame
        else:
            raise ScreeningError(Reason.MALFORMED, "an unknown block in a GIF")
    if not frames:
        raise ScreeningError(Reason.TRUNCATED, "a GIF without a frame")
    return GifHeader(rows, cols, frames)


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    """Return where a chain of sub-blocks ends. Raises TRUNCATED."""
    while at < len(data) and data[at]:
        at += data[at] + 1
    if at >= len(data):
        raise ScreeningError(Reason.TRUNCATED, "the file ends within a GIF block")
    return at + 1
