"""JPEG 2000 files to slices: OpenJPEG decodes components, and boxes say what they mean (T.800 annex I)."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.samples import (
    Shown,
    ink_to_rgb,
    over_white,
    scaled,
    show_grey,
    show_transparent_grey,
    ycc_to_rgb,
)
from s2sw.connectors.preflight.jp2 import (
    CMYK,
    COLOUR,
    E_SRGB,
    GREY,
    OPACITY,
    PREMULTIPLIED,
    ROMM,
    SRGB,
    SYCC,
    Wrapping,
    read_wrapping,
)
from s2sw.connectors.preflight.jpeg2000 import Component, check_structure, j2k_components, j2k_header
from s2sw.connectors.preflight.limits import check_geometry, check_ratio
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

_SHOWN = frozenset((-1, CMYK, SRGB, GREY, SYCC, E_SRGB, ROMM))
_OTHERS = {
    0: "bi-level", 1: "YCbCr of ITU-R 709", 3: "YCbCr of ITU-R 601", 4: "YCbCr of ITU-R 601", 9: "PhotoYCC",
    11: "CMY", 13: "YCCK", 14: "CIELab", 19: "CIEJab", 22: "YPbPr", 24: "e-sYCC",
}  # fmt: skip
_CHROMA = frozenset(((1, 1), (2, 1), (1, 2), (2, 2)))
"""Columns and rows that a sample of chroma may cover."""
_PIXEL_BYTES = 4  # at least, of OpenJPEG's own buffers

Channel = tuple[Frame, int]
"""Unsigned samples (rows, cols) and their bits."""


def decode_jpeg2000(data: bytes, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the picture of a JPEG 2000 codestream, bare or in JP2 boxes. Raises ScreeningError."""
    wrapping = read_wrapping(data)
    stream = data[wrapping.codestream :] if wrapping.codestream else data
    header = j2k_header(stream)
    if header is None:
        raise ScreeningError(Reason.MALFORMED, "JPEG 2000 without an image size")
    width = max(_PIXEL_BYTES, header.components * -(-header.precision // 8))
    check_ratio(check_geometry(header.rows, header.cols, width, settings.limits), len(data), settings.limits)
    check_structure(stream)
    pixels, applied = _show(decode_components(stream), wrapping, _is_ycc(stream, wrapping), settings)
    yield Slice(pixels, "image", applied=(*(("icc_ignored",) if wrapping.profile else ()), *applied))


def decode_components(stream: bytes) -> list[Channel]:
    """Return the components of a codestream at the size of the picture; a sign is lifted away.

    Three components whose chroma is halved across come as RGB. Raises UNSUPPORTED, MALFORMED.
    """
    from openjpeg.utils import decode

    header, parts = j2k_header(stream), j2k_components(stream)
    assert header is not None
    _check_components(parts)
    size = {1: 1, 2: 2}.get(-(-parts[0].bits // 8), 4)
    # OpenJPEG packs what it decodes; pylibjpeg counts the pixels from the corner of the reference grid
    flat = decode(BytesIO(stream), 0, reshape=False)
    packed = flat[: header.rows * header.cols * len(parts) * size]
    samples = packed.view(f"<u{size}").reshape(header.rows, header.cols, len(parts))
    return [(_unsigned(samples[..., at], part), part.bits) for at, part in enumerate(parts)]


def _check_components(parts: list[Component]) -> None:
    widths = {-(-part.bits // 8) for part in parts}
    if max(part.bits for part in parts) > 24 or max(widths) > -(-parts[0].bits // 8):
        raise ScreeningError(Reason.UNSUPPORTED, "JPEG 2000 components above 24 bits or of mixed depths")
    apart = [(part.cols_apart, part.rows_apart) for part in parts]
    alike = len(set(apart)) == 1
    chroma = len(parts) >= 3 and apart[0] == (1, 1) and apart[1] == apart[2] and apart[1] in _CHROMA
    if not (alike or (chroma and set(apart[3:]) <= {(1, 1)})):
        raise ScreeningError(Reason.UNSUPPORTED, "JPEG 2000 components of unusual subsampling")


def _unsigned(samples: Frame, part: Component) -> Frame:
    if not part.signed:
        return samples
    signed = samples.view(samples.dtype.str.replace("u", "i")).astype(np.int64)
    return (signed + (1 << part.bits - 1)).astype(np.uint32)


def _is_ycc(stream: bytes, wrapping: Wrapping) -> bool:
    """Tell whether colours are still luminance and chroma.

    Chroma that covers several pixels is nothing else, whatever the boxes say; of three components OpenJPEG's
    conversion has made RGB where it is halved across.
    """
    parts = j2k_components(stream)
    if len(parts) < 3 or (len(parts) == 3 and parts[1].cols_apart > parts[0].cols_apart):
        return False
    return (
        wrapping.space == SYCC
        or parts[1].rows_apart * parts[1].cols_apart > parts[0].rows_apart * parts[0].cols_apart
    )


def _show(channels: list[Channel], wrapping: Wrapping, is_ycc: bool, settings: DecodeSettings) -> Shown:
    if wrapping.space not in _SHOWN:
        name = _OTHERS.get(wrapping.space, f"colour space {wrapping.space}")
        raise ScreeningError(Reason.UNSUPPORTED, f"JPEG 2000 in {name}")
    applied: tuple[str, ...] = ()
    if wrapping.palette is not None and wrapping.mapping:
        channels, applied = _through_palette(channels, wrapping), ("palette",)
    colours, alpha, premultiplied = _in_order(channels, wrapping)
    opacity = None if alpha is None else scaled(*alpha)
    if len(colours) < 3:
        samples, bits = colours[0]
        if opacity is None:
            pixels, done = show_grey(samples, bits, settings)
        else:
            pixels, done = show_transparent_grey(samples, bits, opacity, premultiplied, settings)
        return pixels, (*applied, *done)
    pixels = np.stack([scaled(*colour) for colour in colours], axis=-1)
    if wrapping.space == CMYK and len(colours) == 4:
        pixels, applied = ink_to_rgb(pixels), (*applied, "cmyk")
    elif is_ycc:
        pixels, applied = ycc_to_rgb(pixels[..., :3]), (*applied, "ycbcr")
    pixels = np.ascontiguousarray(pixels[..., :3])
    if opacity is None:
        return pixels, applied
    return over_white(pixels, opacity, premultiplied), (*applied, "alpha")


def _through_palette(channels: list[Channel], wrapping: Wrapping) -> list[Channel]:
    """Return the channels that a component mapping makes of components (T.800 I.5.3.5)."""
    table, found = wrapping.palette, []
    assert table is not None
    for component, column in wrapping.mapping:
        if component >= len(channels) or (column is not None and column >= table.shape[1]):
            raise ScreeningError(Reason.MALFORMED, "a JP2 component mapping")
        if column is None:
            found.append(channels[component])
            continue
        entries = table[:, column].astype(np.uint16)
        found.append((np.take(entries, channels[component][0], mode="clip"), wrapping.palette_bits[column]))
    return found


def _in_order(channels: list[Channel], wrapping: Wrapping) -> tuple[list[Channel], Channel | None, bool]:
    """Return colours in the order of their space, opacity or None, and whether it is multiplied in."""
    if not wrapping.definitions:
        # by their number: grey, grey and opacity, RGB, RGB and opacity
        whole = 4 if wrapping.space == CMYK else 1 if len(channels) < 3 else 3
        alpha = channels[whole] if len(channels) == whole + 1 else None
        return channels[:whole], alpha, False
    colours: dict[int, Channel] = {}
    alpha, premultiplied = None, False
    for number, channel in enumerate(channels):
        kind, association = wrapping.definitions.get(number, (COLOUR, number + 1))
        if kind == COLOUR and 0 < association <= len(channels):
            colours.setdefault(association, channel)
        elif kind in (OPACITY, PREMULTIPLIED) and alpha is None:
            alpha, premultiplied = channel, kind == PREMULTIPLIED
    if not colours:
        raise ScreeningError(Reason.MALFORMED, "JP2 channels without a colour")
    ordered = [colours[association] for association in sorted(colours)]
    return ordered[:1] if len(ordered) < 3 else ordered, alpha, premultiplied
