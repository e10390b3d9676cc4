"""The size that a PNG, WebP or LERC stream declares, told before a decoder allocates."""

import struct

Size = tuple[int, int]
"""Rows and columns."""


def png_size(data: bytes) -> Size | None:
    """Return the size in a PNG's first chunk; None if there is none."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 24:
        return None
    cols, rows = struct.unpack_from(">II", data, 16)
    return rows, cols


def webp_size(data: bytes) -> Size | None:
    """Return the size of a WebP file's canvas (RFC 9649, RFC 6386 9.1); None if it has none."""
    kind, body = data[12:16], data[20:]
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(body) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(body[7:10], "little") + 1, int.from_bytes(body[4:7], "little") + 1
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        cols, rows = struct.unpack_from("<HH", body, 6)
        return rows & 0x3FFF, cols & 0x3FFF
    return None


def lerc_size(data: bytes) -> Size | None:
    """Return the size of a LERC2 blob, as Esri's description of the format has it; None of any other."""
    if data[:6] != b"Lerc2 " or len(data) < 22:
        return None
    version = struct.unpack_from("<i", data, 6)[0]
    rows, cols = struct.unpack_from("<ii", data, 10 if version < 3 else 14)  # a checksum comes first since 3
    return (rows, cols) if rows > 0 and cols > 0 else None
