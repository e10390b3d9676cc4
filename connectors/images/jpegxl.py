"""JPEG XL files to slices, with libjxl."""

from collections.abc import Iterator

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.samples import (
    Shown,
    over_white,
    scaled,
    show_colour,
    show_grey,
    show_transparent_grey,
)
from s2sw.connectors.preflight.jpegxl import ALPHA, BLACK, FILTER, JxlHeader, read_jxl
from s2sw.connectors.preflight.limits import check_geometry, check_ratio
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

_COLOURS = 3


def decode_jpegxl(data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the picture of a JPEG XL file, upright. Raises ScreeningError, and what libjxl raises."""
    header = check_jxl(data, settings.limits)
    if header.animated:
        raise ScreeningError(Reason.UNSUPPORTED, "an animation in JPEG XL")
    if BLACK in header.extras or FILTER in header.extras:
        raise ScreeningError(Reason.UNSUPPORTED, "JPEG XL in CMYK or of a colour filter array")
    samples = decode_jxl(data)
    pixels, applied = _show(samples, header, settings)
    turned = ("orientation",) if header.orientation > 1 else ()
    yield Slice(pixels, "image", applied=(*turned, *applied))


def check_jxl(data: bytes, limits: Limits) -> JxlHeader:
    """Return the header of a JPEG XL stream within the limits. Raises ScreeningError."""
    header = read_jxl(data)
    width = (_COLOURS + (ALPHA in header.extras)) * (1 if header.bits <= 8 else 2 if header.bits <= 16 else 4)
    check_ratio(check_geometry(header.rows, header.cols, width, limits), len(data), limits)
    return header


def decode_jxl(data: bytes) -> Frame:
    """Return the samples of a JPEG XL stream as libjxl gives them: (rows, cols) or (rows, cols, channels)."""
    import imagecodecs  # 80 MB of codecs: loaded when a file needs one

    samples: Frame = imagecodecs.jpegxl_decode(data, index=0)
    return samples


def _show(samples: Frame, header: JxlHeader, settings: DecodeSettings) -> Shown:
    bits = 0 if samples.dtype.kind == "f" else header.bits
    if (
        ALPHA not in header.extras
        and header.extras
        and samples.ndim == 3
        and samples.shape[0] == 1 + len(header.extras)
    ):
        samples = samples[0]  # grey beside channels that are no picture of their own comes in planes
    alpha = None
    if ALPHA in header.extras:
        opacity = samples[..., -1]
        alpha = scaled(opacity, bits) if bits else np.rint(np.clip(opacity, 0, 1) * 255).astype(np.uint8)
        samples = samples[..., :-1]
    if samples.ndim == 2 or samples.shape[2] == 1:
        grey = samples.reshape(samples.shape[:2])
        if alpha is None:
            return show_grey(grey, bits, settings)
        return show_transparent_grey(grey, bits, alpha, header.premultiplied, settings)
    pixels, applied = show_colour(samples, bits, settings)
    if alpha is None:
        return pixels, applied
    return over_white(pixels, alpha, header.premultiplied), (*applied, "alpha")
