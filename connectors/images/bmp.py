"""BMP files whose pixels are run lengths or lie under masks of their own, to slices.

Pillow takes a run that leaves its row on to the next one, stops at blank rows, and knows few masks.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.images.samples import Pixels, over_white
from s2sw.connectors.preflight.limits import check_geometry, check_ratio
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

RLE8, RLE4, MASKS, JPEG, PNG, MASKS_AND_ALPHA = range(1, 7)
_OLD_HEADERS = frozenset((12, 16, 64))
"""Sizes of OS/2's headers, in which compressions 3 and 4 are others."""
_FILE_HEADER, _INFO = 14, 40
_END_OF_ROW, _END, _MOVE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class BmpHeader:
    """Microsoft's BITMAPINFOHEADER and its kin.

    size: of the information header. pixels: where they start. upward: whether the bottom row comes first.
    """

    size: int
    pixels: int
    cols: int
    rows: int
    upward: bool
    bits: int
    compression: int
    colours: int


def read_bmp(data: bytes) -> BmpHeader:
    """Return the headers of a BMP. Raises TRUNCATED."""
    size = int.from_bytes(data[14:18], "little")
    if len(data) < _FILE_HEADER + size:
        raise ScreeningError(Reason.TRUNCATED, "the file ends within the BMP header")
    if size == 12:  # OS/2
        cols, rows, _, bits = struct.unpack_from("<4H", data, 18)
        return BmpHeader(
            size, _pixels(data, size, 3 << bits if bits <= 8 else 0), cols, rows, True, bits, 0, 0
        )
    cols, rows, _, bits = struct.unpack_from("<iiHH", data, 18)
    compression = struct.unpack_from("<I", data, 30)[0] if size >= _INFO else 0
    colours = struct.unpack_from("<I", data, 46)[0] if size >= _INFO else 0
    masks = {MASKS: 12, MASKS_AND_ALPHA: 16}.get(compression, 0) if size == _INFO else 0
    table = 4 * (colours or 1 << bits) if bits <= 8 else masks
    return BmpHeader(size, _pixels(data, size, table), cols, abs(rows), rows > 0, bits, compression, colours)


def _pixels(data: bytes, size: int, table: int) -> int:
    """Return where pixels start: some writers leave the field at 0 and put them behind the colour table."""
    declared = int.from_bytes(data[10:14], "little")
    return declared if declared >= _FILE_HEADER + size else _FILE_HEADER + size + table


def with_place_of_pixels(data: bytes, header: BmpHeader) -> bytes:
    """Return the file with its field of where pixels start set right, which Pillow believes."""
    right = struct.pack("<I", header.pixels)
    return data if data[10:14] == right else data[:10] + right + data[14:]


def is_plain(header: BmpHeader) -> bool:
    """Tell whether pixels are neither run lengths nor under masks: those Pillow reads right."""
    return header.compression == 0


def decode_bmp(data: bytes, header: BmpHeader, settings: DecodeSettings) -> Iterator[Slice]:
    """Yield the picture of a BMP that is not plain. Raises ScreeningError."""
    _check_supported(header)
    size = check_geometry(header.rows, header.cols, max(1, header.bits // 8), settings.limits)
    check_ratio(size, len(data), settings.limits)
    if header.compression in (RLE8, RLE4):
        indices = _run_lengths(data, header)
        pixels: Pixels = np.take(_palette(data, header), indices, axis=0, mode="clip")
        applied: tuple[str, ...] = ("palette",)
    else:
        pixels, applied = _masked(data, header)
    yield Slice(np.ascontiguousarray(pixels[::-1] if header.upward else pixels), "image", applied=applied)


def _check_supported(header: BmpHeader) -> None:
    names = {JPEG: "JPEG", PNG: "PNG"}
    allowed = {RLE8: (8,), RLE4: (4,), MASKS: (16, 32), MASKS_AND_ALPHA: (16, 32)}
    old = header.size in _OLD_HEADERS and header.compression >= MASKS
    if old or header.bits not in allowed.get(header.compression, ()):
        name = names.get(header.compression, f"method {header.compression} with {header.bits} bits")
        raise ScreeningError(Reason.UNSUPPORTED, f"BMP compressed by {name}")


def _palette(data: bytes, header: BmpHeader) -> Pixels:
    """Return the colour table, (entries, 3)."""
    start = _FILE_HEADER + header.size
    wanted = header.colours if 0 < header.colours <= 1 << header.bits else 1 << header.bits
    entries = min(wanted, (min(header.pixels, len(data)) - start) // 4)
    if entries < 1:
        raise ScreeningError(Reason.MALFORMED, "a BMP without its colour table")
    return np.frombuffer(data, np.uint8, 4 * entries, start).reshape(entries, 4)[:, 2::-1]


def _run_lengths(data: bytes, header: BmpHeader) -> NDArray[np.uint8]:
    """Return indices (rows, cols) in stored order. A run ends with its row; what is skipped has index 0."""
    rows, cols, narrow = header.rows, header.cols, header.compression == RLE4
    canvas = bytearray(rows * cols)
    at, end, x, y = header.pixels, len(data), 0, 0
    while at + 1 < end and y < rows:
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            run = (
                (bytes((value >> 4, value & 15)) * (count // 2 + 1))[:count]
                if narrow
                else bytes((value,)) * count
            )
        elif value == _END:
            break
        elif value == _END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif value == _MOVE:
            if at + 2 > end:
                raise ScreeningError(Reason.TRUNCATED, "the file ends within the run lengths of a BMP")
            x, y, at = x + data[at], y + data[at + 1], at + 2
            continue
        else:
            stored = (value + 1) // 2 if narrow else value
            run = data[at : at + stored]
            if narrow:
                run = bytes(half for both in run for half in (both >> 4, both & 15))
            run = run[:value]
            at += stored + stored % 2
        left = min(len(run), cols - x)
        if left > 0:
            canvas[y * cols + x : y * cols + x + left] = run[:left]
        x += len(run)
    else:
        if y < rows - 1 or (y == rows - 1 and x < cols):
            raise ScreeningError(Reason.TRUNCATED, "the run lengths of a BMP end early")
    return np.frombuffer(canvas, np.uint8).reshape(rows, cols)


def _masked(data: bytes, header: BmpHeader) -> tuple[Pixels, tuple[str, ...]]:
    """Return pixels in stored order, laid over white where a mask of opacity is in use."""
    with_alpha = header.size >= 56 or header.compression == MASKS_AND_ALPHA
    masks = struct.unpack_from("<4I", data.ljust(70, b"\0"), _FILE_HEADER + _INFO)
    width = -(-header.cols * header.bits // 32) * 4
    if header.pixels + width * header.rows > len(data):
        raise ScreeningError(Reason.TRUNCATED, "fewer pixels than the BMP header declares")
    lines = np.frombuffer(data, np.uint8, width * header.rows, header.pixels).reshape(header.rows, width)
    values = np.ascontiguousarray(lines[:, : header.cols * header.bits // 8]).view(f"<u{header.bits // 8}")
    pixels = np.stack([_channel(values, mask) for mask in masks[:3]], axis=-1)
    alpha = _channel(values, masks[3]) if with_alpha and masks[3] else None
    # writers that know of no opacity leave it 0 everywhere
    if alpha is None or not alpha.any():
        return pixels, ()
    return over_white(pixels, alpha), ("alpha",)


def _channel(values: NDArray[np.unsignedinteger], mask: int) -> NDArray[np.uint8]:
    """Return what lies under a mask, spread over 0..255."""
    if not mask:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    highest = mask >> shift
    found = (values.astype(np.uint64) & mask) >> shift
    levels: NDArray[np.uint8] = np.rint(found * (255 / highest)).astype(np.uint8)
    return levels
