"""What a compressed frame says of itself, read from its header before a decoder allocates for it."""

import struct
from dataclasses import dataclass

from connectors.dicom_codecs import J2K_SYNTAXES, JPEG_SYNTAXES
from connectors.dicom_header import ImageHeader
from connectors.preflight import check_ratio
from schemas.decoding import Limits
from schemas.outcomes import Reason, ScreeningError

_START_OF_FRAME = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                             *range(0xCD, 0xD0), 0xF7))  # fmt: skip
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))


@dataclass(frozen=True, slots=True)
class Codestream:
    """Geometry that a codestream declares."""

    rows: int
    cols: int
    components: int
    precision: int


def jpeg_header(data: bytes | memoryview) -> Codestream | None:
    """Return the frame header of a JPEG or JPEG-LS stream (T.81 B.2.2, T.87 C.2.2); None if there is none."""
    offset, end = 2, len(data)
    if bytes(data[:2]) != b"\xff\xd8":
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


def j2k_header(data: bytes | memoryview) -> Codestream | None:
    """Return the image size of a JPEG 2000 codestream, bare or in a JP2 box (T.800 A.5.1), or None."""
    at = bytes(data[:4096]).find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 43:
        return None
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, at + 8)
    components, depth = struct.unpack_from(">HB", data, at + 40)
    return Codestream(y1 - y0, x1 - x0, components, (depth & 0x7F) + 1)


def check_codestream(frame: bytes, syntax: str, header: ImageHeader, limits: Limits) -> None:
    """Refuse a frame whose own header contradicts the object's. Raises MALFORMED, BOMB, TOO_LARGE."""
    if syntax in JPEG_SYNTAXES:
        found = jpeg_header(frame)
    elif syntax in J2K_SYNTAXES:
        found = j2k_header(frame)
    else:
        return
    if found is None:
        raise ScreeningError(Reason.MALFORMED, "frame without a codestream header")
    declared = (header.rows, header.cols, header.samples)
    if (found.rows, found.cols, found.components) != declared:
        raise ScreeningError(Reason.MALFORMED, "codestream and object disagree on the size of a frame")
    size = header.rows * header.cols * header.samples * (found.precision + 7) // 8
    check_ratio(size, len(frame), limits)
