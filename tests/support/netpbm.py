"""Writers of Netpbm's formats, as netpbm.sourceforge.net/doc describes them."""

from typing import Any

import numpy as np

Pixels = np.ndarray[Any, Any]


def _highest(pixels: Pixels, highest: int | None) -> int:
    return highest or (255 if pixels.dtype.itemsize == 1 else 65535)


def _raster(pixels: Pixels) -> bytes:
    return pixels.astype(">u2" if pixels.dtype.itemsize > 1 else np.uint8).tobytes()


def pgm(pixels: Pixels, highest: int | None = None, comment: bytes = b"") -> bytes:
    """A grey map in bytes, (rows, cols) of uint8 or uint16."""
    rows, cols = pixels.shape
    return b"P5\n%s%d %d\n%d\n" % (comment, cols, rows, _highest(pixels, highest)) + _raster(pixels)


def ppm(pixels: Pixels, highest: int | None = None) -> bytes:
    """A pixel map in bytes, (rows, cols, 3) of uint8 or uint16."""
    return b"P6 %d %d %d\n" % (pixels.shape[1], pixels.shape[0], _highest(pixels, highest)) + _raster(pixels)


def pgm_text(pixels: Pixels, highest: int | None = None) -> bytes:
    """A grey map as text, with a comment in its raster."""
    lines = [b" ".join(b"%d" % value for value in row) for row in pixels.tolist()]
    head = b"P2\n# a comment\n%d %d\n%d\n" % (pixels.shape[1], pixels.shape[0], _highest(pixels, highest))
    return head + b" # the first row\n".join([lines[0], b"\n".join(lines[1:])]) + b"\n"


def pbm(bits: Pixels) -> bytes:
    """A bit map in bytes; True is black."""
    return b"P4\n%d %d\n" % (bits.shape[1], bits.shape[0]) + np.packbits(bits, axis=1).tobytes()


def pbm_text(bits: Pixels) -> bytes:
    """A bit map as text, without blanks between its digits."""
    rows = [b"".join(b"1" if bit else b"0" for bit in row) for row in bits.tolist()]
    return b"P1 %d %d\n" % (bits.shape[1], bits.shape[0]) + b"\n".join(rows)


def pam(pixels: Pixels, tuples: bytes = b"GRAYSCALE_ALPHA", highest: int | None = None) -> bytes:
    """An arbitrary map, (rows, cols, samples)."""
    rows, cols, depth = pixels.shape
    head = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n"
    return head % (cols, rows, depth, _highest(pixels, highest), tuples) + _raster(pixels)


def pfm(pixels: Pixels, order: str = "<") -> bytes:
    """A map of floats, (rows, cols) or (rows, cols, 3), stored from the bottom row on."""
    kind = b"Pf" if pixels.ndim == 2 else b"PF"
    scale = b"-1.0" if order == "<" else b"1.0"
    head = b"%s\n%d %d\n%s\n" % (kind, pixels.shape[1], pixels.shape[0], scale)
    return head + pixels[::-1].astype(order + "f4").tobytes()
