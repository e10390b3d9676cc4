"""JPEG 2000 headers: the size of the picture, and what the decoder would allocate for its structure.

A codestream of a kilobyte may ask for a structure of gigabytes: many tiny tiles, precincts or layers.
"""

import struct
from dataclasses import dataclass
from math import ceil

from s2sw.connectors.preflight.jpeg import Codestream
from s2sw.schemas.outcomes import Reason, ScreeningError

START = b"\xff\x4f\xff\x51"
_COD, _SOT = 0xFF52, 0xFF90
MAX_TILE_RECORDS = 1 << 18
"""Tiles x (6 + components): OpenJPEG holds about that many KiB."""
MAX_PACKETS = 1 << 25
"""Layers x resolutions x components x precincts: OpenJPEG holds two bytes of each."""
MIN_BLOCK_SAMPLES = 256
"""Samples a code block or precinct must hold on average, once there are more than ``FREE_BLOCKS``."""
FREE_BLOCKS = 1 << 16
MAX_CORNER = 1 << 26
"""Pixels from the corner of the reference grid to the end of the picture, where those before it count: they
are allocated too."""


@dataclass(frozen=True, slots=True)
class _Size:
    cols: int
    rows: int
    tile_cols: int
    tile_rows: int
    tiles: int
    components: int
    precision: int
    corner: int


def j2k_header(data: bytes) -> Codestream | None:
    """Return the size that a codestream declares, bare or in JP2 boxes (T.800 A.5.1), or None."""
    size = _size(data, data.find(START))
    return Codestream(size.rows, size.cols, size.components, size.precision) if size else None


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a codestream: bits of a sample, whether it has a sign, pixels that a sample covers."""

    bits: int
    signed: bool
    cols_apart: int
    rows_apart: int


def j2k_components(data: bytes) -> list[Component]:
    """Return what a codestream says of its components (T.800 A.5.1). Raises MALFORMED."""
    start = data.find(START)
    size = _size(data, start)
    at = start + 42
    if size is None or len(data) < at + 3 * size.components:
        raise ScreeningError(Reason.MALFORMED, "JPEG 2000 without an image size")
    fields = struct.iter_unpack(">BBB", data[at : at + 3 * size.components])
    found = [Component((depth & 0x7F) + 1, depth > 0x7F, across, down) for depth, across, down in fields]
    if not all(each.cols_apart and each.rows_apart for each in found):
        raise ScreeningError(Reason.MALFORMED, "JPEG 2000 components without a distance of samples")
    return found


def check_structure(data: bytes) -> None:
    """Refuse a codestream whose tiles, precincts or layers would take far more memory than its picture.

    Raises BOMB, MALFORMED (no main header).
    """
    start = data.find(START)
    size = _size(data, start)
    if size is None:
        raise ScreeningError(Reason.MALFORMED, "JPEG 2000 without an image size")
    if size.tiles * (6 + size.components) > MAX_TILE_RECORDS:
        raise ScreeningError(Reason.BOMB, f"{size.tiles} tiles")
    if size.corner > max(MAX_CORNER, 4 * size.rows * size.cols):
        raise ScreeningError(Reason.BOMB, "a picture far from the corner of its reference grid")
    at = start + 4 + struct.unpack_from(">H", data, start + 4)[0]
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _SOT or marker < 0xFF00 or length < 2:
            return
        if marker == _COD:
            _check_coding(size, data[at + 4 : at + 2 + length])
        at += 2 + length


def _size(data: bytes, start: int) -> _Size | None:
    if start < 0 or len(data) < start + 45:
        return None
    x1, y1, x0, y0, tx, ty, tx0, ty0, components, depth = struct.unpack_from(">8IHB", data, start + 8)
    if x1 <= x0 or y1 <= y0 or not tx or not ty or not components:
        return None
    tiles = max(1, ceil((x1 - tx0) / tx)) * max(1, ceil((y1 - ty0) / ty))
    tile_cols, tile_rows = min(tx, x1 - x0), min(ty, y1 - y0)
    return _Size(x1 - x0, y1 - y0, tile_cols, tile_rows, tiles, components, (depth & 0x7F) + 1, x1 * y1)


def _check_coding(size: _Size, segment: bytes) -> None:
    """Check a coding style default (T.800 A.6.1) against the size of one tile."""
    if len(segment) < 10:
        raise ScreeningError(Reason.MALFORMED, "JPEG 2000 coding style")
    style, _, layers, _, levels, block_x, block_y = struct.unpack_from(">BBHBBBB", segment)
    block = min(1 << ((block_x & 15) + 2), 1024), min(1 << ((block_y & 15) + 2), 1024)
    exponents = segment[10:] if style & 1 else b""
    levels = min(levels, 32)
    blocks = most_precincts = 0
    for resolution in range(levels + 1):
        shrink = 1 << (levels - resolution)
        cols, rows = ceil(size.tile_cols / shrink), ceil(size.tile_rows / shrink)
        exponent = exponents[resolution] if resolution < len(exponents) else 0xFF
        precinct = 1 << (exponent & 15), 1 << (exponent >> 4)
        precincts = ceil(cols / precinct[0]) * ceil(rows / precinct[1])
        cell = min(block[0], precinct[0]), min(block[1], precinct[1])
        blocks += max(3 * precincts, ceil(cols / cell[0]) * ceil(rows / cell[1]))
        most_precincts = max(most_precincts, precincts)
    if layers * (levels + 1) * size.components * most_precincts > MAX_PACKETS:
        raise ScreeningError(Reason.BOMB, f"{layers} layers over {most_precincts} precincts")
    samples = size.tile_cols * size.tile_rows
    if blocks * size.components > FREE_BLOCKS and blocks * MIN_BLOCK_SAMPLES > samples:
        raise ScreeningError(Reason.BOMB, f"{blocks} code blocks in a tile of {samples} samples")
