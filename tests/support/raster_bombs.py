"""Image files that ask for far more memory or time than they hold, by name, with the reason expected."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import imagecodecs
import numpy as np
from PIL import Image

from s2sw.schemas.outcomes import Reason
from tests.support.bitmaps import bmp, palette_bytes
from tests.support.bombs import j2k_codestream
from tests.support.tiff_files import Page, page, tiff
from tests.support.writing import picture

SMALL = np.zeros((8, 8), np.uint8)


def tiff_of(rows: int, cols: int, segment: bytes, compression: int, **more: int) -> bytes:
    return tiff(
        page(SMALL, [segment], rows=rows, cols=cols, rows_per_strip=rows, compression=compression, **more)
    )


def tiff_deep(rows: int, cols: int) -> bytes:
    """A page of 16 bits, for tifffile, whose strip holds a thousandth of it."""
    return tiff_of(rows, cols, zlib.compress(bytes(rows * cols // 500), 9), 8, bits=16)


def tiff_of_one_strip(pages: int) -> bytes:
    """Pages that all unpack the same strip; each by itself is honest."""
    strip = zlib.compress(bytes(30 << 20), 9)
    one = page(SMALL, [], rows=7680, cols=4096, rows_per_strip=7680, compression=8, strip_counts=len(strip))
    first = tiff(Page([strip], one.tags))
    tags = one.tags | {273: (4, [8])}
    return first if pages == 1 else tiff(Page([strip], one.tags), *[Page([], tags)] * (pages - 1))


def large_in_tile(code: int, stream: bytes) -> bytes:
    return tiff(page(np.zeros((16, 16, 3), np.uint8), [stream], compression=code, tile_cols=16, tile_rows=16))


def bits(*fields: tuple[int, int]) -> bytes:
    """Fields (value, bits), the lowest bit of the first one first."""
    number = place = 0
    for value, count in fields:
        number |= value << place
        place += count
    return number.to_bytes(-(-place // 8), "little")


def jxl(side: int) -> bytes:
    wide = (2, 2), (side - 1, 18)
    return b"\xff\x0a" + bits((0, 1), *wide, (0, 3), *wide, (1, 1)) + bytes(200)


def gif(side: int, frames: int) -> bytes:
    """Frames of one pixel on a large screen."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b";"


def webp(side: int) -> bytes:
    """A lossless file whose header claims another size."""
    out = BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(out, "WEBP", lossless=True)
    data = bytearray(out.getvalue())
    size = (side - 1) | (side - 1) << 14
    data[21:25] = struct.pack("<I", struct.unpack_from("<I", data, 21)[0] & 0xF0000000 | size)
    return bytes(data)


def avif(side: int) -> bytes:
    data = bytearray(picture("AVIF", 16, 16))
    at = data.find(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", side, side)
    return bytes(data)


def far_from_its_corner() -> bytes:
    data = bytearray(j2k_codestream(64, 64))
    struct.pack_into(">8I", data, 8, 60_064, 60_064, 60_000, 60_000, 64, 64, 60_000, 60_000)
    return bytes(data)


RASTERS: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "tiff: 20000 x 20000 of 16 bits in 1 kB": (
        lambda: tiff_of(20_000, 20_000, bytes(900), 8, bits=16), Reason.BOMB,
    ),
    "tiff: 16 bits, 200 MB in 800 kB": (lambda: tiff_deep(10_000, 10_000), Reason.BOMB),
    "tiff: 300 pages over one strip": (lambda: tiff_of_one_strip(300), Reason.BOMB),
    "tiff: a tile of 60000 x 60000": (
        lambda: tiff(page(SMALL, [bytes(64)], tile_cols=60_000, tile_rows=60_000)), Reason.TOO_LARGE,
    ),
    "tiff: a WebP of 9 MB in a tile": (
        lambda: large_in_tile(50001, imagecodecs.webp_encode(np.zeros((3000, 1000, 3), np.uint8))),
        Reason.MALFORMED,
    ),
    "tiff: a JPEG XL of 900 MB in a tile": (lambda: large_in_tile(50002, jxl(30_000)), Reason.MALFORMED),
    "tiff: 4 billion samples a pixel": (
        lambda: tiff_of(8, 8, bytes(64), 1, samples=4_000_000_000), Reason.MALFORMED,
    ),
    "tiff: a stack of a billion planes": (
        lambda: tiff(page(SMALL, description=b"ImageJ=1.54f\nimages=999999999\n\0")), Reason.TRUNCATED,
    ),
    "jpeg xl: 16000 x 16000 in 200 bytes": (lambda: jxl(16_000), Reason.BOMB),
    "jpeg xl: 200000 x 200000": (lambda: jxl(200_000), Reason.TOO_LARGE),
    "gif: a screen of 60000 x 60000": (lambda: gif(60_000, 1), Reason.TOO_LARGE),
    "gif: 10,000 frames on a screen of 9000 x 9000": (lambda: gif(9000, 10_000), Reason.BOMB),
    "gif: 30,000 frames": (lambda: gif(4, 30_000), Reason.TOO_LARGE),
    "webp: 16000 x 16000 in 60 bytes": (lambda: webp(16_000), Reason.MALFORMED),
    "avif: 100000 x 100000": (lambda: avif(100_000), Reason.MALFORMED),
    "pnm: 30000 x 30000 in 20 bytes": (lambda: b"P5\n30000 30000\n255\n0", Reason.TRUNCATED),
    "pnm: 2**33 pixels wide": (lambda: b"P5\n8589934592 1\n255\n0", Reason.TOO_LARGE),
    "bmp: run lengths of 20000 x 20000": (
        lambda: bmp(8, 1, (20_000, 20_000), b"\0\1", palette_bytes()), Reason.BOMB,
    ),
    "j2k: a picture far from its corner": (far_from_its_corner, Reason.BOMB),
}  # fmt: skip
"""Refused by ``decode``, with this reason."""
