"""PNG, JPEG, TIFF, BMP, WebP, GIF and AVIF files to slices, with Pillow's reader of exactly that format."""

import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from s2sw.connectors.grey import stretch
from s2sw.connectors.images.samples import Pixels, Shown
from s2sw.connectors.preflight.formats import Format
from s2sw.connectors.preflight.jpeg import check_scans
from s2sw.connectors.preflight.limits import Unpacking, check_frames, check_geometry
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

# Pillow's warnings and log records may quote tags of the file
warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)

Reader = Callable[[BytesIO], ImageFile.ImageFile]


def _avif(stream: BytesIO) -> ImageFile.ImageFile:
    from PIL import AvifImagePlugin  # its library is loaded when a file needs it

    return AvifImagePlugin.AvifImageFile(stream)


# the reader's class and not Image.open: no other format is tried, and Pillow's process-wide pixel limit,
# which is below an honest mammogram, stays as others set it
READERS: dict[Format, Reader] = {
    Format.PNG: PngImagePlugin.PngImageFile,
    Format.JPEG: JpegImagePlugin.JpegImageFile,
    Format.TIFF: TiffImagePlugin.TiffImageFile,
    Format.BMP: BmpImagePlugin.BmpImageFile,
    Format.WEBP: WebPImagePlugin.WebPImageFile,
    Format.GIF: GifImagePlugin.GifImageFile,
    Format.AVIF: _avif,
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


def decode_with_pillow(
    data: bytes, form: Format, settings: DecodeSettings, target: int | None = None
) -> Iterator[Slice]:
    """Yield the frames of an image file, upright.

    ``target``: a JPEG decodes at a fraction of its size as long as both sides stay at least twice this long.
    Raises ScreeningError, and whatever Pillow raises on malformed input.
    """
    picture = open_picture(data, form)
    if form is Format.JPEG:
        check_scans(data, picture.width * picture.height)
    frames = _frame_count(picture, settings.limits)
    plane = "image" if frames == 1 else "page"
    unpacking = Unpacking(len(data), settings.limits)
    for frame in range(frames):
        if frame:
            picture.seek(frame)
        unpacking.add(_frame_bytes(picture, settings.limits))
        full_size = (picture.height, picture.width)
        reduced = target is not None and _reduce(picture, target)
        pixels, applied = to_pixels(picture, settings)
        if form is Format.GIF:
            pixels = _grey_if_grey(pixels)
        yield Slice(pixels, plane, applied=applied, full_size=_turned(full_size, pixels) if reduced else None)


def open_picture(data: bytes, form: Format) -> ImageFile.ImageFile:
    """Return Pillow's picture of a file, of which only the header is read yet."""
    return READERS[form](BytesIO(data))


def _frame_count(picture: ImageFile.ImageFile, limits: Limits) -> int:
    frames = int(getattr(picture, "n_frames", 1))
    check_frames(frames, limits)
    return max(1, frames)


def _frame_bytes(picture: ImageFile.ImageFile, limits: Limits) -> int:
    return check_geometry(picture.height, picture.width, _BYTES_PER_PIXEL.get(picture.mode, 4), limits)


def to_pixels(picture: Image.Image, settings: DecodeSettings) -> Shown:
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


def _to_eight_bits(picture: Image.Image, settings: DecodeSettings) -> Shown:
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
    if mode in ("RGBX", "CMYK", "YCbCr", "HSV"):
        return np.asarray(picture.convert("RGB")), (mode.lower(),)
    raise ScreeningError(Reason.UNSUPPORTED, f"pixels in colour space {mode}")


def _over_white(picture: Image.Image) -> Pixels:
    """Lay a picture with transparency over white, as viewers do; hidden colours must not show."""
    grey = picture.mode in ("L", "LA", "La")
    colours = picture.convert("RGBA")
    ground = Image.new("RGBA", colours.size, (255, 255, 255, 255))
    ground.alpha_composite(colours)
    return np.asarray(ground.convert("L" if grey else "RGB"))


def _grey_if_grey(pixels: Pixels) -> Pixels:
    """Return colours that are all grey as grey: Pillow gives every frame but the first of a GIF in colour."""
    if pixels.ndim == 3 and (pixels[..., :1] == pixels).all():
        return np.ascontiguousarray(pixels[..., 0])
    return pixels


def _reduce(picture: Image.Image, target: int) -> bool:
    """Ask for the smallest size that a JPEG decodes to with both sides >= 2 x target; tell if it is smaller.

    Only JPEG: its smaller sizes are means of whole blocks, while those of JPEG 2000 lie half a pixel aside.
    """
    if not isinstance(picture, JpegImagePlugin.JpegImageFile):
        return False
    before = picture.size
    picture.draft(None, (2 * target, 2 * target))
    return picture.size != before


def _turned(size: tuple[int, int], pixels: Pixels) -> tuple[int, int]:
    """Return a size in the orientation of the upright pixels."""
    rows, cols = pixels.shape[:2]
    return size if (rows >= cols) == (size[0] >= size[1]) else size[::-1]
