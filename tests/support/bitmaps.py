"""BMP files that Pillow does not write: run lengths and masks."""

import struct
from typing import Any

import numpy as np

PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 90)], -1).astype(np.uint8)
"""Red, green and blue of each index."""


def bmp(bits: int, compression: int, size: tuple[int, int], body: bytes, between: bytes = b"") -> bytes:
    """A BMP of a 40-byte header.

    between: masks or a palette. size: rows (negative: downward) and columns.
    """
    start = 14 + 40 + len(between)
    colours = len(between) // 4 if compression in (1, 2) else 0
    info = struct.pack(
        "<IiiHHIIiiII", 40, size[1], size[0], 1, bits, compression, len(body), 0, 0, colours, 0
    )
    return struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start) + info + between + body


def palette_bytes(entries: int = 256) -> bytes:
    return np.concatenate([PALETTE[:entries, ::-1], np.zeros((entries, 1), np.uint8)], 1).tobytes()


def bmp_rle8(indices: np.ndarray[Any, Any]) -> bytes:
    """A BMP of run lengths: runs for even rows, literal values for odd ones."""
    rows = []
    for number, row in enumerate(indices[::-1]):
        values = row.tobytes()
        if number % 2:
            rows.append(bytes((0, len(values))) + values + b"\0" * (len(values) % 2) + b"\0\0")
        else:
            rows.append(b"".join(bytes((1, value)) for value in values) + b"\0\0")
    return bmp(8, 1, indices.shape, b"".join(rows) + b"\0\1", palette_bytes())


def bmp_masks(
    pixels: np.ndarray[Any, Any], masks: tuple[int, int, int] = (0x3FF, 0xFFC00, 0x3FF00000)
) -> bytes:
    """A BMP of 32 bits a pixel under masks of 10 bits each unless others are given."""
    words = np.zeros(pixels.shape[:2], np.uint32)
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        highest = mask >> shift
        level = np.rint(pixels[..., channel] * (highest / 255)).astype(np.uint32)
        words |= level << np.uint32(shift)
    return bmp(32, 3, pixels.shape[:2], words[::-1].astype("<u4").tobytes(), struct.pack("<3I", *masks))
