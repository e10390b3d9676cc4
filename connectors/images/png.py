"""PNG files of which Pillow drops something: deep grey with opacity, and transparent single colours."""

from collections.abc import Iterator

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.samples import over_white, scaled, show_transparent_grey
from s2sw.connectors.preflight.limits import check_geometry, check_ratio
from s2sw.connectors.preflight.pictures import png_size
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

_GREY, _RGB, _GREY_AND_ALPHA = 0, 2, 4
_DEPTH_AT, _COLOUR_AT = 24, 25
_BEFORE_PIXELS = 1 << 20
"""So far a chunk that matters is looked for; it must come before the pixels (PNG 5.6)."""


def is_plain_png(data: bytes) -> bool:
    """Tell whether Pillow shows all that a PNG holds. Raises UNSUPPORTED of Apple's own kind."""
    if len(data) <= _COLOUR_AT:
        return True
    depth, colour = data[_DEPTH_AT], data[_COLOUR_AT]
    chunks = _chunks_before_pixels(data)
    if b"CgBI" in chunks:
        raise ScreeningError(Reason.UNSUPPORTED, "Apple's own kind of PNG (CgBI)")
    if b"acTL" in chunks:  # an animation, whose frames Pillow puts together
        return True
    return not (
        (depth == 16 and colour == _GREY_AND_ALPHA) or (b"tRNS" in chunks and colour in (_GREY, _RGB))
    )


def _chunks_before_pixels(data: bytes) -> set[bytes]:
    found, at = set(), 8
    while at + 8 <= min(len(data), _BEFORE_PIXELS):
        kind = data[at + 4 : at + 8]
        if kind == b"IDAT":
            break
        found.add(kind)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


def decode_deep_png(data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the picture of a PNG with opacity; libpng makes one of a transparent colour."""
    import imagecodecs  # 80 MB of codecs: loaded when a file needs one

    size = png_size(data)
    if size is None:
        raise ScreeningError(Reason.MALFORMED, "a PNG without its header")
    check_ratio(check_geometry(*size, 8, settings.limits), len(data), settings.limits)
    samples: Frame = imagecodecs.png_decode(data)
    bits = samples.dtype.itemsize * 8
    alpha = scaled(np.ascontiguousarray(samples[..., -1]), bits)
    profile = ("icc_ignored",) if b"iCCP" in _chunks_before_pixels(data) else ()
    if samples.shape[2] == 2:
        grey = np.ascontiguousarray(samples[..., 0])
        pixels, applied = show_transparent_grey(grey, bits, alpha, False, settings)
    else:
        pixels, applied = over_white(scaled(samples[..., :3], bits), alpha), ("alpha",)
    yield Slice(pixels, "image", applied=(*profile, *applied))
