"""Samples of pictures, of any depth and with or without transparency, to 8 bits."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.grey import Frame, Grey, stretch
from s2sw.schemas.decoding import DecodeSettings

Pixels = NDArray[np.uint8]
"""(rows, cols) or (rows, cols, 3)."""
Shown = tuple[Pixels, tuple[str, ...]]
"""Pixels and the names of what was done to them."""

MAX_HIGH_BYTE = 16
"""Colours of up to so many bits keep their highest eight; wider and signed ones and floats are stretched."""
_ROWS = 512


def scaled(samples: Frame, bits: int) -> Grey:
    """Return unsigned samples of ``bits`` bits as 8: fewer spread over 0..255, of more the highest 8."""
    if bits == 8:
        return samples.astype(np.uint8, copy=False)
    if bits > 8:
        return (samples >> (bits - 8)).astype(np.uint8)
    table = np.rint(np.arange(1 << bits) * (255 / ((1 << bits) - 1))).astype(np.uint8)
    return np.take(table, samples, mode="clip")


def show_grey(
    samples: Frame, bits: int, settings: DecodeSettings, keep: NDArray[np.bool_] | None = None
) -> Shown:
    """Return grey samples as 8 bits: up to 8 bits by their full range, others between two percentiles.

    bits: of unsigned samples; 0 stands for any other kind. keep: which samples decide the percentiles.
    """
    if 0 < bits <= 8:
        return scaled(samples, bits), ()
    return stretch(samples, settings.percentiles, keep), ("percentile",)


def show_colour(samples: Frame, bits: int, settings: DecodeSettings) -> Shown:
    """Return colours (rows, cols, channels) as 8 bits; wide ones between percentiles of all channels."""
    if 0 < bits <= MAX_HIGH_BYTE:
        return scaled(samples, bits), ()
    return stretch(samples, settings.percentiles), ("percentile",)


def show_transparent_grey(
    samples: Frame, bits: int, alpha: Grey, premultiplied: bool, settings: DecodeSettings
) -> Shown:
    """Return grey samples laid over white; only what can be seen decides the percentiles of deep ones."""
    visible = alpha > 0
    deep = not 0 < bits <= 8
    if deep and premultiplied:
        samples = np.divide(samples * 255.0, alpha, out=np.zeros(samples.shape), where=visible)
    keep = visible if deep and visible.any() and not visible.all() else None
    grey, applied = show_grey(samples, bits, settings, keep)
    return over_white(grey, alpha, premultiplied and not deep), (*applied, "alpha")


def over_white(pixels: Pixels, alpha: Grey, premultiplied: bool = False) -> Pixels:
    """Lay pixels over white, as viewers do; colours that are hidden must not show. alpha: (rows, cols)."""
    out = np.empty_like(pixels)
    for start in range(0, len(pixels), _ROWS):
        rows = slice(start, start + _ROWS)
        opacity = alpha[rows].astype(np.uint16)
        opacity = opacity[..., None] if pixels.ndim == 3 else opacity
        light = pixels[rows].astype(np.uint16)
        if premultiplied:
            out[rows] = np.minimum(light + (255 - opacity), 255)
        else:
            out[rows] = (light * opacity + 255 * (255 - opacity) + 127) // 255
    return out


def ink_to_rgb(inks: Pixels) -> Pixels:
    """Return cyan, magenta, yellow and black (rows, cols, 4) as RGB."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(inks), "CMYK").convert("RGB"))


def ycc_to_rgb(pixels: Pixels) -> Pixels:
    """Return luminance and two colour differences of full range (JFIF) as RGB."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "YCbCr").convert("RGB"))
