"""JP2 files whose boxes are put together here, round codestreams of imagecodecs' OpenJPEG."""

import struct
from collections.abc import Sequence
from typing import Any

import imagecodecs
import numpy as np

SRGB, GREY, SYCC, CMYK, CIELAB = 16, 17, 18, 12, 14


def codestream(pixels: np.ndarray[Any, Any], bits: int | None = None) -> bytes:
    """A lossless codestream of (rows, cols) or (rows, cols, components), without a colour transform."""
    return bytes(
        imagecodecs.jpeg2k_encode(
            pixels, level=0, reversible=True, mct=False, codecformat="j2k", bitspersample=bits, planar=False
        )
    )


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def colr(space: int) -> bytes:
    return box(b"colr", struct.pack(">BBBI", 1, 0, 0, space))


def cdef(*channels: tuple[int, int, int]) -> bytes:
    """Channel definitions: number, type (0 colour, 1 opacity, 2 premultiplied), association."""
    entries = b"".join(struct.pack(">3H", *one) for one in channels)
    return box(b"cdef", struct.pack(">H", len(channels)) + entries)


def palette(entries: np.ndarray[Any, Any]) -> bytes:
    """A palette of 8-bit colours (entries, columns), and component 0 mapped through all its columns."""
    count, columns = entries.shape
    head = struct.pack(">HB", count, columns) + bytes([7] * columns)
    mapping = b"".join(struct.pack(">HBB", 0, 1, column) for column in range(columns))
    return box(b"pclr", head + entries.astype(np.uint8).tobytes()) + box(b"cmap", mapping)


def jp2(stream: bytes, boxes: Sequence[bytes], components: int = 3, bits: int = 8) -> bytes:
    """A JP2 file of a codestream; boxes: what comes behind the image header."""
    rows, cols = struct.unpack_from(">I", stream, 12)[0], struct.unpack_from(">I", stream, 8)[0]
    header = box(b"ihdr", struct.pack(">IIHBBBB", rows, cols, components, bits - 1, 7, 0, 0))
    return b"".join((
        box(b"jP  ", b"\r\n\x87\n"), box(b"ftyp", b"jp2 " + bytes(4) + b"jp2 "),
        box(b"jp2h", header + b"".join(boxes)), box(b"jp2c", stream),
    ))  # fmt: skip
