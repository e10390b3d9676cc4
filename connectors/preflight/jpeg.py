"""What a compressed frame says of itself, read from its header before a decoder allocates for it."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from s2sw.schemas.outcomes import Reason, ScreeningError

_START_OF_FRAME = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                             *range(0xCD, 0xD0), 0xF7))  # fmt: skip
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_SCAN, _APP14 = 0xDA, 0xEE
_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
LOSSLESS, JPEG_LS = 0xC3, 0xF7
"""Processes: the markers of frames of their kind (T.81 table B.1, T.87 C.1.1)."""
MAX_PADDING = 16
"""Zero bytes before the end marker that are looked through."""
MAX_SCAN_PIXELS = 1 << 32
"""Pixels x scans of one JPEG: every scan of a progressive one passes over all of its pixels."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """Geometry that a codestream declares; precision: bits of a sample; process: marker of a JPEG's frame."""

    rows: int
    cols: int
    components: int
    precision: int
    process: int = 0


def jpeg_header(data: bytes) -> Codestream | None:
    """Return the frame header of a JPEG or JPEG-LS stream (T.81 B.2.2, T.87 C.2.2); None if there is none."""
    for marker, at in _segments(data):
        if marker in _START_OF_FRAME and at + 8 < len(data):
            precision, rows, cols, components = struct.unpack_from(">BHHB", data, at + 2)
            return Codestream(rows, cols, components, precision, marker)
    return None


def adobe_transform(data: bytes) -> int | None:
    """Return what Adobe's marker says of colours (TN 5116): 0 as they are, 1 YCbCr, 2 YCCK; None without."""
    for marker, at in _segments(data):
        if marker == _APP14 and data[at + 2 : at + 7] == b"Adobe" and at + 13 < len(data):
            return data[at + 13]
    return None


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and offset of the length of each segment up to the first scan."""
    offset, end = 2, len(data)
    if data[:2] != b"\xff\xd8":
        return
    while offset + 3 < end and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        offset += 2
        if marker not in _STANDALONE:
            yield marker, offset
            offset += max(2, struct.unpack_from(">H", data, offset)[0])
        if marker == _SCAN:
            return


def check_scans(data: bytes, pixels: int) -> None:
    """Refuse a JPEG of so many scans that decoding takes minutes. Raises BOMB."""
    scans = data.count(_START_OF_SCAN)
    if scans * pixels > MAX_SCAN_PIXELS and scans > 1:
        raise ScreeningError(Reason.BOMB, f"{scans} scans over {pixels} pixels")


def without_padding(stream: bytes) -> Iterator[bytes]:
    """Yield a JPEG-LS stream up to its end marker, then with ever more of the zero bytes before it left out.

    Some writers fill up with zeros there, which CharLS refuses; yet a stream may end in one by itself.
    Without a marker CharLS may count zero bits beyond the data for half a minute: raises TRUNCATED.
    """
    end = stream.rfind(_END_OF_IMAGE)
    if end < 0:
        raise ScreeningError(Reason.TRUNCATED, "JPEG-LS without its end")
    yield stream[: end + 2]
    for padding in range(1, MAX_PADDING + 1):
        if stream[end - padding] or padding >= end:
            return
        yield stream[: end - padding] + _END_OF_IMAGE
