"""What a compressed frame says of itself, read from its header before a decoder allocates for it."""

import struct
from dataclasses import dataclass

from s2sw.schemas.outcomes import Reason, ScreeningError

_START_OF_FRAME = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                             *range(0xCD, 0xD0), 0xF7))  # fmt: skip
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_START_OF_SCAN = b"\xff\xda"
MAX_SCAN_PIXELS = 1 << 32
"""Pixels x scans of one JPEG: every scan of a progressive one passes over all of its pixels."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """Geometry that a codestream declares; precision in bits of a sample."""

    rows: int
    cols: int
    components: int
    precision: int


def jpeg_header(data: bytes) -> Codestream | None:
    """Return the frame header of a JPEG or JPEG-LS stream (T.81 B.2.2, T.87 C.2.2); None if there is none."""
    offset, end = 2, len(data)
    if data[:2] != b"\xff\xd8":
        return None
    while offset + 9 < end and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker in _START_OF_FRAME:
            precision, rows, cols, components = struct.unpack_from(">BHHB", data, offset + 4)
            return Codestream(rows, cols, components, precision)
        if marker == 0xDA:
            return None
        offset += 1 if marker == 0xFF else 2
        if marker not in _STANDALONE and marker != 0xFF:
            offset += max(2, struct.unpack_from(">H", data, offset)[0])
    return None


def check_scans(data: bytes, pixels: int) -> None:
    """Refuse a JPEG of so many scans that decoding takes minutes. Raises BOMB."""
    scans = data.count(_START_OF_SCAN)
    if scans * pixels > MAX_SCAN_PIXELS and scans > 1:
        raise ScreeningError(Reason.BOMB, f"{scans} scans over {pixels} pixels")
