"""What the samples of a TIFF page mean: grey, palettes, colours, inks, transparency, channels (TIFF 6.0)."""

from collections.abc import Iterator

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.samples import (
    Shown,
    ink_to_rgb,
    over_white,
    scaled,
    show_colour,
    show_grey,
    show_transparent_grey,
    ycc_to_rgb,
)
from s2sw.connectors.preflight.tiff import (
    CMYK,
    PALETTE,
    RGB,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Directory,
    Tag,
)
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

_ASSOCIATED, _UNASSOCIATED = 1, 2
_KAKADU_YCC = 33003
_PLAIN_BYTES = 256
"""A palette whose highest entry lies below this was stored in 8 bits where 16 are meant."""


def show(samples: Frame, directory: Directory, settings: DecodeSettings) -> Iterator[tuple[str, Shown]]:
    """Yield the pictures of one plane, each with its name: "" if there is one, else ``channel_1`` and so on.

    samples: (rows, cols, samples) as stored; YCbCr that JPEG compressed is RGB already.
    """
    colours = _colour_samples(directory)
    alpha = _opacity(samples, directory, colours)
    if colours == 1 and samples.shape[2] > 1 and alpha is None:
        for channel in range(samples.shape[2]):
            grey = np.ascontiguousarray(samples[..., channel])
            yield f"channel_{channel + 1}", _grey(grey, directory, None, settings)
    elif directory.photometric == PALETTE:
        yield "", (_through_palette(samples[..., 0], directory), ("palette",))
    elif colours == 1:
        yield "", _grey(np.ascontiguousarray(samples[..., 0]), directory, alpha, settings)
    else:
        yield "", _colour(samples, directory, colours, alpha, settings)


def _colour_samples(directory: Directory) -> int:
    """Return how many samples of a pixel are colours; fewer than they need are greys of their own."""
    wanted = {RGB: 3, YCBCR: 3, CMYK: 4}.get(directory.photometric, 1)
    return wanted if directory.samples >= wanted else 1


def _value_bits(directory: Directory) -> int:
    """Return the bits of unsigned samples, 0 of all others."""
    return directory.bits[0] if directory.sample_format == UNSIGNED and directory.bits[0] <= 32 else 0


def _opacity(samples: Frame, directory: Directory, colours: int) -> Frame | None:
    """Return the opacity of each pixel as 8 bits, None if the page has none (TIFF 6.0 section 18)."""
    extra = directory.numbers(Tag.EXTRA_SAMPLES)
    for place, kind in enumerate(extra[: directory.samples - colours]):
        if kind in (_ASSOCIATED, _UNASSOCIATED):
            found, bits = samples[..., colours + place], _value_bits(directory)
            if bits:
                return scaled(found, bits)
            if found.dtype.kind == "f":
                opacity: Frame = np.rint(np.clip(np.nan_to_num(found), 0, 1) * 255).astype(np.uint8)
                return opacity
    return None


def _premultiplied(directory: Directory) -> bool:
    return _ASSOCIATED in directory.numbers(Tag.EXTRA_SAMPLES)


def _grey(samples: Frame, directory: Directory, alpha: Frame | None, settings: DecodeSettings) -> Shown:
    applied: tuple[str, ...] = ()
    bits = _value_bits(directory)
    if samples.dtype.kind == "c":
        samples, applied = np.abs(samples), ("magnitude",)
    if alpha is not None:
        pixels, done = show_transparent_grey(samples, bits, alpha, _premultiplied(directory), settings)
        return pixels, (*applied, *done)
    pixels, done = show_grey(samples, bits, settings)
    if directory.photometric == WHITE_IS_ZERO:
        return np.subtract(255, pixels, dtype=np.uint8), (*applied, *done, "invert")
    return pixels, (*applied, *done)


def _colour(
    samples: Frame, directory: Directory, colours: int, alpha: Frame | None, settings: DecodeSettings
) -> Shown:
    pixels, applied = show_colour(
        np.ascontiguousarray(samples[..., :colours]), _value_bits(directory), settings
    )
    if colours == 4:
        pixels, applied = ink_to_rgb(pixels), (*applied, "cmyk")
    elif directory.number(Tag.COMPRESSION, 1) == _KAKADU_YCC:
        pixels, applied = ycc_to_rgb(pixels), (*applied, "ycbcr")
    if directory.samples > colours + (alpha is not None):
        applied = (*applied, "extra_samples_ignored")
    if alpha is None:
        return pixels, applied
    return over_white(pixels, alpha, _premultiplied(directory)), (*applied, "alpha")


def _through_palette(indices: Frame, directory: Directory) -> Frame:
    """Return the colours of indices; a map has all reds, then greens, then blues (TIFF 6.0 section 5)."""
    entries = directory.numbers(Tag.COLOUR_MAP)
    size = len(entries) // 3
    if not size:
        raise ScreeningError(Reason.MALFORMED, "a TIFF palette without entries")
    table: Frame = np.asarray(entries[: 3 * size], dtype=np.uint32).reshape(3, size).T
    table = table if table.max() < _PLAIN_BYTES else table >> 8
    return np.take(table.astype(np.uint8), indices, axis=0, mode="clip")
