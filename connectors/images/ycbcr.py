"""TIFF pages of luminance and chroma that no JPEG compressed (TIFF 6.0 section 21)."""

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.images.codestreams import EMBEDDED
from s2sw.connectors.images.samples import ycc_to_rgb
from s2sw.connectors.images.tiff_segments import FAX, read_samples, segment_bytes, segments, unpacked
from s2sw.connectors.preflight.tiff import Directory, Tag
from s2sw.schemas.outcomes import Reason, ScreeningError

_FACTORS = (1, 2, 4)
_FULL_RANGE = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)
_CCIR_601 = (0.299, 0.587, 0.114)
_ROWS = 256

Pixels = NDArray[np.uint8]


def read_ycbcr(data: bytes, directory: Directory) -> Pixels:
    """Return a page as RGB, (rows, cols, 3). Raises TRUNCATED, MALFORMED, UNSUPPORTED."""
    across, down = directory.chroma
    code = directory.number(Tag.COMPRESSION, 1)
    if code in EMBEDDED or (across, down) == (1, 1):
        return _to_rgb(read_samples(data, directory)[0, :, :, :3], directory)
    if directory.planar or directory.samples != 3 or directory.size[0] > 1 or code in FAX:
        raise ScreeningError(Reason.UNSUPPORTED, "TIFF in subsampled YCbCr in planes or with other samples")
    if across not in _FACTORS or down not in _FACTORS:
        raise ScreeningError(Reason.UNSUPPORTED, f"TIFF in YCbCr subsampled {across} by {down}")
    _, rows, cols = directory.size
    _, high, wide = directory.segment
    out = np.zeros((rows, cols, 3), np.uint8)
    a_row = -(-cols // wide)
    for index, stored in segments(data, directory):
        if not stored:
            continue
        y, x = index // a_row * high, index % a_row * wide
        plain = unpacked(directory, stored, segment_bytes(directory, index))
        block = _units(plain, wide, across, down)[: min(high, rows - y), : cols - x]
        out[y : y + block.shape[0], x : x + block.shape[1]] = block
    return _to_rgb(out, directory)


def _units(plain: bytes, wide: int, across: int, down: int) -> Pixels:
    """Return rows of data units as (rows, cols, 3): each unit has its luminances, then one Cb and one Cr."""
    a_row, of_unit = -(-wide // across), across * down + 2
    units = np.frombuffer(plain, np.uint8).reshape(-1, a_row, of_unit)
    light = units[..., :-2].reshape(-1, a_row, down, across).swapaxes(1, 2).reshape(-1, a_row * across)
    chroma = units[..., -2:].repeat(down, axis=0).repeat(across, axis=1)
    return np.dstack([light, chroma])


def _to_rgb(ycc: Pixels, directory: Directory) -> Pixels:
    reference = directory.numbers(Tag.BLACK_WHITE, _FULL_RANGE)
    red, green, blue = directory.numbers(Tag.YCBCR_COEFFICIENTS, _CCIR_601)[:3]
    usual = len(reference) != 6 or all(abs(a - b) < 0.5 for a, b in zip(reference, _FULL_RANGE, strict=True))
    if usual and abs(red - _CCIR_601[0]) < 1e-3 and abs(blue - _CCIR_601[2]) < 1e-3:
        return ycc_to_rgb(ycc)
    out = np.empty(ycc.shape, np.uint8)
    black, white = np.asarray(reference[::2]), np.asarray(reference[1::2])
    gain = np.asarray([255.0, 127.0, 127.0]) / np.where(white == black, 1, white - black)
    for start in range(0, len(ycc), _ROWS):
        light, cb, cr = np.moveaxis((ycc[start : start + _ROWS] - black) * gain, -1, 0)
        r, b = light + cr * (2 - 2 * red), light + cb * (2 - 2 * blue)
        g = (light - red * r - blue * b) / (green or 1)
        out[start : start + _ROWS] = np.clip(np.rint(np.stack([r, g, b], -1)), 0, 255)
    return out
