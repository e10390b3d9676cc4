"""JPEG files that Pillow does not read, to slices: above 8 bits, lossless, and JPEG-LS."""

from collections.abc import Iterator

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.samples import show_colour, show_grey
from s2sw.connectors.preflight.jpeg import (
    JPEG_LS,
    LOSSLESS,
    Codestream,
    check_scans,
    without_padding,
)
from s2sw.connectors.preflight.limits import check_geometry, check_ratio
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

_HIERARCHICAL = frozenset((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF))
_LOSSLESS_ARITHMETIC = 0xCB


def is_plain(header: Codestream) -> bool:
    """Tell whether Pillow reads a JPEG: 8 bits, sequential or progressive, 1, 3 or 4 components, a height."""
    usual = header.process in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
    return usual and header.precision == 8 and header.components in (1, 3, 4) and header.rows > 0


def decode_jpeg(data: bytes, header: Codestream, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the picture of a JPEG that is not plain. Raises ScreeningError, and what decoders raise."""
    if header.process in _HIERARCHICAL or header.process == _LOSSLESS_ARITHMETIC:
        raise ScreeningError(Reason.UNSUPPORTED, "hierarchical or arithmetic lossless JPEG")
    if not header.rows:
        raise ScreeningError(Reason.UNSUPPORTED, "JPEG whose height comes behind its first scan (DNL)")
    if header.components not in (1, 3):
        raise ScreeningError(Reason.UNSUPPORTED, f"JPEG of {header.components} components")
    width = header.components * (1 if header.precision <= 8 else 2)
    check_ratio(check_geometry(header.rows, header.cols, width, settings.limits), len(data), settings.limits)
    if header.process == JPEG_LS:
        samples = decode_jpegls(data)
    else:
        check_scans(data, header.rows * header.cols)
        samples = _decode_deep(data, header)
    show = show_grey if header.components == 1 else show_colour
    pixels, applied = show(samples, header.precision, settings)
    yield Slice(pixels, "image", applied=applied)


def _decode_deep(data: bytes, header: Codestream) -> Frame:
    import imagecodecs  # 80 MB of codecs: loaded when a file needs one

    # nothing in a lossless JPEG says that it holds anything but its own colours
    space = "RGB" if header.components == 3 and header.process == LOSSLESS else None
    samples: Frame = imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space)
    return samples


def decode_jpegls(data: bytes) -> Frame:
    """Return the samples of a JPEG-LS stream, (rows, cols) or (rows, cols, components).

    Raises TRUNCATED, and RuntimeError of damaged streams.
    """
    import jpeg_ls

    error = RuntimeError()
    for stream in without_padding(data):
        try:
            plain, facts = jpeg_ls.decode_buffer(stream)
        except RuntimeError as failure:
            error = failure
            continue
        shape = facts["height"], facts["width"], facts["components"]
        samples = np.frombuffer(plain, np.uint8 if facts["bits_per_sample"] <= 8 else "<u2")
        if shape[2] == 1:
            return samples.reshape(shape[:2])
        if facts["interleave_mode"] == 0:  # component after component
            return np.ascontiguousarray(np.moveaxis(samples.reshape(shape[2], *shape[:2]), 0, -1))
        return samples.reshape(shape)
    raise error
