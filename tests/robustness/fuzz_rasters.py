"""Honest small image files of every reader: TIFF in its variants, and the formats of image lakes."""

import io
import itertools
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from tests.support.bitmaps import bmp_masks, bmp_rle8
from tests.support.netpbm import pam, pgm, pgm_text, ppm
from tests.support.writing import picture

ROWS, COLS = 40, 60
GREY16 = (np.arange(ROWS * COLS, dtype=np.uint16) * 27).reshape(ROWS, COLS)
COLOUR = np.stack([GREY16 >> 8, GREY16 & 255, GREY16[::-1] >> 8], -1).astype(np.uint8)
Seeds = list[tuple[str, bytes]]

PILLOW: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("PNG", "RGB", {}), ("PNG", "P", {}), ("PNG", "LA", {}), ("PNG", "1", {}), ("PNG", "RGBA", {}),
    ("JPEG", "RGB", {}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("JPEG", "RGB", {"progressive": True}),
    ("TIFF", "RGB", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}), ("TIFF", "L", {"compression": "jpeg"}),
    ("TIFF", "P", {"compression": "tiff_adobe_deflate"}), ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "F", {}), ("BMP", "RGB", {}), ("BMP", "P", {}), ("WEBP", "RGB", {}), ("WEBP", "RGBA", {}),
    ("WEBP", "RGB", {"lossless": True}), ("JPEG2000", "RGB", {}), ("JPEG2000", "L", {}),
)  # fmt: skip


def _saved(pages: list[np.ndarray[Any, Any]], form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(out, form, save_all=bool(others), append_images=others, **options)
    return out.getvalue()


def _tiff(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    out = io.BytesIO()
    order, big = options.pop("byteorder", "<"), options.pop("bigtiff", False)
    with tifffile.TiffWriter(out, byteorder=order, bigtiff=big) as writer:
        writer.write(pixels, metadata=None, **options)
    return out.getvalue()


def _tiffs() -> list[bytes]:
    kinds = [GREY16, GREY16.astype(np.float32), GREY16.astype(np.float64), (GREY16 >> 8).astype(np.int8)]
    layouts = [{"rowsperstrip": 16}, {"tile": (16, 32)}]
    found = [
        _tiff(kind, compression=compression, predictor=compression is not None, byteorder=order, **layout)
        for kind, compression, order, layout in itertools.product(
            kinds, (None, "lzw", "zlib", "zstd"), "<>", layouts
        )
    ]
    planes = np.ascontiguousarray(COLOUR.transpose(2, 0, 1))
    found += [_tiff(planes, photometric="rgb", planarconfig="separate", bigtiff=big) for big in (False, True)]
    for compression in ("jpeg2000", "png", "webp", "lerc", "jpegxl", "jpeg"):
        found += [_tiff(COLOUR, photometric="rgb", compression=compression, **layout) for layout in layouts]
    alpha = np.dstack([COLOUR, COLOUR[..., 0]])
    found.append(_tiff(alpha, photometric="rgb", extrasamples=["unassalpha"], planarconfig="contig"))
    found.append(_tiff(np.stack([GREY16] * 3), photometric="minisblack", volumetric=True))
    stack = io.BytesIO()
    tifffile.imwrite(stack, np.stack([GREY16] * 4)[:, None], imagej=True, metadata={"axes": "ZCYX"})
    return [*found, stack.getvalue()]


def _jpegs() -> list[bytes]:
    lossless = {"lossless": True}
    return [
        imagecodecs.jpeg8_encode(GREY16 >> 4, bitspersample=12),
        imagecodecs.jpeg8_encode(GREY16, bitspersample=16, **lossless),
        imagecodecs.jpeg8_encode(COLOUR, **lossless),
        imagecodecs.jpegls_encode(GREY16),
        imagecodecs.jpegls_encode(COLOUR),
    ]


def raster_seeds() -> Seeds:
    """Return (kind, bytes) of every seed; the kind decides which repairs a mutation may get."""
    found: Seeds = [
        (form.lower() if form in ("PNG", "TIFF") else "raster", picture(form, ROWS, COLS, mode, **options))
        for form, mode, options in PILLOW
    ]
    pages = [np.full((20, 30), 60 * page, np.uint8) for page in range(4)]
    found += [
        ("png", _saved([GREY16], "PNG")),
        ("tiff", _saved([GREY16], "TIFF")),
        ("tiff", _saved(pages, "TIFF")),
    ]
    found += [("png", imagecodecs.png_encode(np.dstack([GREY16, GREY16]))), ("png", _saved(pages, "PNG"))]
    found += [("tiff", data) for data in _tiffs()]
    found += [("raster", data) for data in _jpegs()]
    found += [("raster", _saved(pages, "WEBP", lossless=True)), ("raster", bmp_rle8(COLOUR[..., 0]))]
    found += [("raster", bmp_masks(COLOUR))]
    jxl = [COLOUR, GREY16, np.dstack([COLOUR, COLOUR[..., 0]])]
    found += [("jxl", imagecodecs.jpegxl_encode(pixels, lossless=True)) for pixels in jxl] * 4
    found += [("jxl", imagecodecs.jpegxl_encode(COLOUR, level=80))] * 4
    found += [("avif", _saved([COLOUR], "AVIF", quality=quality)) for quality in (60, 100)] * 4
    found += [("avif", _saved([COLOUR, COLOUR[::-1]], "AVIF"))] * 4
    found += [("gif", _saved(pages, "GIF")), ("gif", _saved([COLOUR, COLOUR[::-1]], "GIF"))] * 6
    netpbm = [pgm(GREY16), ppm(COLOUR), pgm_text(pages[1]), pam(np.dstack([GREY16, GREY16])),
              _bit_map()]  # fmt: skip
    return found + [("pnm", data) for data in netpbm] * 3


def _bit_map() -> bytes:
    return _saved([np.asarray(COLOUR[..., 0] > 90)], "PPM")
