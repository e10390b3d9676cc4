"""PNG, JPEG, TIFF, BMP, WebP and JPEG 2000 files to slices, with Pillow's reader of exactly that format."""

import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from s2sw.connectors.grey import stretch
from s2sw.connectors.preflight.formats import Format
from s2sw.connectors.preflight.jpeg import check_scans
from s2sw.connectors.preflight.jpeg2000 import check_structure
from s2sw.connectors.preflight.limits import check_frames, check_geometry, check_ratio
from s2sw.connectors.preflight.tiff import count_pages
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

# Pillow's warnings and log records may quote tags of the file
warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)

Reader = Callable[[BytesIO], ImageFile.ImageFile]

# the reader's class and not Image.open: no other format is tried, and Pillow's process-wide pixel limit,
# which is below an honest mammogram, stays as others set it
READERS: dict[Format, Reader] = {
    Format.PNG: PngImagePlugin.PngImageFile,
    Format.JPEG: JpegImagePlugin.JpegImageFile,
    Format.TIFF: TiffImagePlugin.TiffImageFile,
    Format.BMP: BmpImagePlugin.BmpImageFile,
    Format.WEBP: WebPImagePlugin.WebPImageFile,
    Format.JPEG2000: Jpeg2KImagePlugin.Jpeg2KImageFile,
}
_ORIENTATION_TAG = 0x0112
_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "LA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""Of Pillow's own buffers; every other mode takes 4 bytes."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_raster(
    data: bytes, form: Format, settings: DecodeSettings, target: int | None = None
) -> Iterator[Slice]:
    """Yield the pages of an image file, upright.

    ``target``: a JPEG decodes at a fraction of its size as long as both sides stay at least twice this long.
    Raises ScreeningError, and whatever Pillow raises on malformed input.
    """
    if form is Format.WEBP and int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ScreeningError(Reason.TRUNCATED, "RIFF file shorter than it says")
    picture = READERS[form](BytesIO(data))
    if form is Format.JPEG:
        check_scans(data, picture.width * picture.height)
    elif form is Format.JPEG2000:
        check_structure(data)
    pages = _page_count(data, form, picture, settings.limits)
    plane = "image" if pages == 1 else "page"
    total = 0
    for page in range(pages):
        if page:
            picture.seek(page)
        size = check_geometry(picture.height, picture.width, _BYTES_PER_PIXEL.get(picture.mode, 4),
                              settings.limits)  # fmt: skip
        total += size
        check_ratio(total, len(data), settings.limits)
        full_size = (picture.height, picture.width)
        reduced = target is not None and _reduce(picture, target)
        pixels, applied = to_pixels(picture, settings)
        yield Slice(pixels, plane, applied=applied, full_size=_turned(full_size, pixels) if reduced else None)


def _page_count(data: bytes, form: Format, picture: ImageFile.ImageFile, limits: Limits) -> int:
    # Pillow would parse every directory of a TIFF to count them; animations have a count in their header
    pages = count_pages(data, limits) if form is Format.TIFF else int(getattr(picture, "n_frames", 1))
    check_frames(pages, limits)
    return max(1, pages)


def to_pixels(picture: Image.Image, settings: DecodeSettings) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return one page as uint8 (rows, cols) or (rows, cols, 3), upright, and what was done to it."""
    applied = []
    if "icc_profile" in picture.info:
        applied.append("icc_ignored")
    orientation = _orientation(picture)
    picture.load()
    upright: Image.Image = picture
    if orientation in _TURNS and _orientation(picture) == orientation:
        upright = picture.transpose(_TURNS[orientation])
        applied.append("orientation")
    pixels, conversions = _to_eight_bits(upright, settings)
    return pixels, (*applied, *conversions)


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation 1..8; a damaged EXIF block counts as none, the pixels may still be fine."""
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, IndexError, OSError, struct.error):
        return 1
    return value if isinstance(value, int) else 1


def _to_eight_bits(
    picture: Image.Image, settings: DecodeSettings
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    mode = picture.mode
    if mode in ("L", "RGB") and "transparency" not in picture.info:
        return np.asarray(picture), ()
    if mode == "1":
        return np.asarray(picture.convert("L")), ()
    if mode.startswith("I") or mode == "F":
        return stretch(np.asarray(picture), settings.percentiles), ("percentile",)
    if mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in picture.info:
        return _over_white(picture), ("alpha",)
    if mode == "P":
        return np.asarray(picture.convert("RGB")), ("palette",)
    if mode in ("RGBX", "CMYK", "YCbCr", "LAB", "HSV"):
        return np.asarray(picture.convert("RGB")), (mode.lower(),)
    raise ScreeningError(Reason.UNSUPPORTED, f"Pillow mode {mode}")


def _over_white(picture: Image.Image) -> NDArray[np.uint8]:
    """Lay a picture with transparency over white, as viewers do; hidden colours must not show."""
    grey = picture.mode in ("L", "LA", "La")
    colours = picture.convert("RGBA")
    ground = Image.new("RGBA", colours.size, (255, 255, 255, 255))
    ground.alpha_composite(colours)
    return np.asarray(ground.convert("L" if grey else "RGB"))


def _reduce(picture: Image.Image, target: int) -> bool:
    """Ask for the smallest size that a JPEG decodes to with both sides >= 2 x target; tell if it is smaller.

    Only JPEG: its smaller sizes are means of whole blocks, while those of JPEG 2000 lie half a pixel aside.
    """
    if not isinstance(picture, JpegImagePlugin.JpegImageFile):
        return False
    before = picture.size
    picture.draft(None, (2 * target, 2 * target))
    return picture.size != before


def _turned(size: tuple[int, int], pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Return a size in the orientation of the upright pixels."""
    rows, cols = pixels.shape[:2]
    return size if (rows >= cols) == (size[0] >= size[1]) else size[::-1]
