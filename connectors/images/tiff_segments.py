"""Strips and tiles of a TIFF to samples: tifffile puts them together, a codec for each compression unpacks.

tifffile is shown a directory of its own with the tags that matter and no others, so that what makers and
programs hide in theirs does not reach it.
"""

import logging
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.codestreams import EMBEDDED
from s2sw.connectors.preflight.jpeg import check_scans, jpeg_header
from s2sw.connectors.preflight.tiff import BLACK_IS_ZERO, Directory, Tag
from s2sw.schemas.outcomes import Reason, ScreeningError

# its log records may quote tags of the file
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)

PLAIN, FAX, JPEG = 1, frozenset((2, 3, 4)), 7
SLACK = 4096
"""Bytes that a strip may unpack to beyond its rows: some writers fill the last one up."""
JPEG_PADDING = 16
"""Rows and columns by which a JPEG may exceed its strip or tile: it is made of blocks."""
_SHOWN = (
    Tag.COLS, Tag.ROWS, Tag.BITS, Tag.PHOTOMETRIC, Tag.SAMPLES, Tag.ROWS_PER_STRIP, Tag.PLANAR,
    Tag.FAX_OPTIONS, Tag.PREDICTOR, Tag.TILE_COLS, Tag.TILE_ROWS, Tag.EXTRA_SAMPLES, Tag.SAMPLE_FORMAT,
    Tag.DEPTH, Tag.TILE_DEPTH, Tag.SUBSAMPLING,
)  # fmt: skip


def _lzw(data: bytes, size: int) -> bytes:
    import imagecodecs  # 80 MB of codecs: loaded when a file needs one

    return bytes(imagecodecs.lzw_decode(data, out=size))


def _packbits(data: bytes, size: int) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.packbits_decode(data, out=size))


def _zstandard(data: bytes, size: int) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(data).read(size)


def _deflate(data: bytes, size: int) -> bytes:
    return zlib.decompressobj().decompress(data, size)


def _lzma(data: bytes, size: int) -> bytes:
    return lzma.LZMADecompressor(memlimit=1 << 28).decompress(data, size)


def _plain(data: bytes, size: int) -> bytes:
    return data[:size]


UNPACKERS: dict[int, Callable[[bytes, int], bytes]] = {
    PLAIN: _plain, 5: _lzw, 8: _deflate, 32946: _deflate, 50013: _deflate, 32773: _packbits, 34925: _lzma,
    34926: _zstandard, 50000: _zstandard,
}  # fmt: skip
"""By compression: from the bytes of a strip or tile to at most so many unpacked."""


def readable(compression: int) -> bool:
    """Tell whether there is a codec for a compression."""
    return compression in UNPACKERS or compression in EMBEDDED or compression in FAX or compression == JPEG


def segments(data: bytes, directory: Directory) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes, as stored, of each strip and tile in order; b"" of one that is left out.

    Raises TRUNCATED, MALFORMED (fewer than the picture takes).
    """
    offsets, counts = directory.offsets, directory.counts
    needed, plain = directory.segments, directory.number(Tag.COMPRESSION, PLAIN) == PLAIN
    if len(offsets) < needed:
        raise ScreeningError(Reason.MALFORMED, f"{len(offsets)} strips or tiles, {needed} needed")
    if not plain and len(counts) < needed and needed > 1:
        raise ScreeningError(Reason.MALFORMED, "strips or tiles without their sizes")
    for index in range(needed):
        start = offsets[index]
        # of a single strip some writers leave the size out, or 0
        count = counts[index] if index < len(counts) and (needed > 1 or counts[index]) else len(data) - start
        whole = segment_bytes(directory, index) if plain else count
        if not start or not count:
            yield index, b""
        elif start + whole > len(data) or count < whole:
            raise ScreeningError(Reason.TRUNCATED, "the file ends within a strip or tile")
        else:
            yield index, data[start : start + whole]


def segment_bytes(directory: Directory, index: int) -> int:
    """Return the unpacked bytes of a strip or tile; rows start at whole bytes, chroma at whole units."""
    depth, rows, cols = directory.segment
    if not directory.tiled:
        in_plane = -(-directory.size[1] // rows)
        rows = min(rows, directory.size[1] - index % in_plane * rows)
    across, down = directory.chroma
    if across * down > 1 and not directory.planar:
        return -(-rows // down) * -(-cols // across) * (across * down + 2)
    bits = directory.bits[0] if directory.planar else sum(directory.bits)
    return depth * rows * ((cols * bits + 7) // 8)


def unpacked(directory: Directory, stored: bytes, size: int) -> bytes:
    """Return the samples of a strip or tile as bytes. Raises TRUNCATED if there are fewer than ``size``."""
    plain = UNPACKERS[directory.number(Tag.COMPRESSION, PLAIN)](in_bit_order(directory, stored), size + SLACK)
    if len(plain) < size:
        raise ScreeningError(Reason.TRUNCATED, "a strip or tile unpacks to fewer samples than it should hold")
    return plain[:size]


def in_bit_order(directory: Directory, stored: bytes) -> bytes:
    """Return bytes as stored with their bits in the usual order (FillOrder 2 has the lowest first)."""
    if directory.number(Tag.FILL_ORDER, 1) != 2:
        return stored
    import imagecodecs

    return bytes(imagecodecs.bitorder_decode(stored))


Block = tuple[Frame, tuple[int, ...]]
"""A decoded strip or tile, (depth, rows, cols, samples), and where it belongs: plane, depth, row, column."""


def read_samples(data: bytes, directory: Directory) -> Frame:
    """Return all samples, (depth, rows, cols, samples) of the directory's own type in native order.

    What is left out is 0. Raises ScreeningError, and what codecs raise on damaged data.
    """
    page = _page(data, directory)
    decode = _decoder(page, directory)
    planes, depth, rows, cols, samples = page.shaped
    out: Frame = np.zeros(page.shaped, page.dtype)
    for index, stored in segments(data, directory):
        if not stored:
            continue
        block, (plane, z, y, x, *_) = decode(stored, index)
        block = block[: depth - z, : rows - y, : cols - x]
        if block.dtype != out.dtype or block.shape[3] != samples:
            raise ScreeningError(Reason.MALFORMED, "a strip or tile disagrees with its TIFF directory")
        out[plane, z : z + block.shape[0], y : y + block.shape[1], x : x + block.shape[2]] = block
    whole: Frame = out[0] if planes == 1 else np.moveaxis(out[..., 0], 0, -1)
    return whole


def _decoder(page: Any, directory: Directory) -> Callable[[bytes, int], Block]:
    """Return what makes a block of the bytes of a strip or tile and its number."""
    code = directory.number(Tag.COMPRESSION, PLAIN)
    if code in EMBEDDED:
        return partial(_embedded, page, directory)
    tables = {"jpegtables": directory.values.get(Tag.JPEG_TABLES)} if code == JPEG else {}

    def decode(stored: bytes, index: int) -> Block:
        if code in UNPACKERS:
            stored = unpacked(directory, stored, segment_bytes(directory, index))
        elif code == JPEG:
            _check_jpeg(directory, stored)
        else:
            stored = in_bit_order(directory, stored)
        block, at, _ = page.decode(stored, index, **tables)
        return block, at

    return decode


def _embedded(page: Any, directory: Directory, stored: bytes, index: int) -> Block:
    """Decode a strip or tile that is a picture of another format."""
    size_of, decode = EMBEDDED[directory.number(Tag.COMPRESSION)]
    _, rows, cols = directory.segment
    found = size_of(stored)
    if found is None or found[0] > rows or found[1] > cols:
        raise ScreeningError(Reason.MALFORMED, "a strip or tile is larger than its TIFF directory says")
    frame = decode(stored, 1 if directory.planar else directory.samples)
    # of one that is left out tifffile tells where it would be
    _, at, _ = page.decode(None, index)
    return frame.reshape(1, *frame.shape[:2], -1), at


def _check_jpeg(directory: Directory, stored: bytes) -> None:
    _, rows, cols = directory.segment
    found = jpeg_header(stored)
    if found is None or found.rows > rows + JPEG_PADDING or found.cols > cols + JPEG_PADDING:
        raise ScreeningError(Reason.MALFORMED, "a JPEG strip or tile is larger than its TIFF directory says")
    check_scans(stored, rows * cols)


def _page(data: bytes, directory: Directory) -> Any:
    """Return tifffile's page of a TIFF that has the directory's geometry and no picture."""
    import tifffile

    code = directory.number(Tag.COMPRESSION, PLAIN)
    tags = {int(tag): directory.numbers(tag) for tag in _SHOWN if tag in directory.values}
    if code in UNPACKERS or code in EMBEDDED:
        tags[Tag.COMPRESSION] = (PLAIN,)
        tags.pop(Tag.SUBSAMPLING, None)
    else:
        tags[Tag.COMPRESSION] = (code,)
    whose = directory.photometric if code == JPEG else BLACK_IS_ZERO
    tags |= {Tag.BITS: directory.bits, Tag.PHOTOMETRIC: (whose,),
             Tag.SAMPLE_FORMAT: (directory.sample_format,), Tag.SAMPLES: (directory.samples,),
             Tag.STRIP_OFFSETS: (8,), Tag.STRIP_COUNTS: (64,)}  # fmt: skip
    if not directory.tiled:
        tags[Tag.ROWS_PER_STRIP] = (directory.segment[1],)
    # tifffile looks at the start of the first strip for a JFIF marker
    first = directory.offsets[0] if directory.offsets else 0
    return tifffile.TiffFile(BytesIO(_tiny(directory.order, tags, data[first : first + 64]))).pages[0]


def _tiny(order: str, tags: dict[int, tuple[int, ...]], start: bytes) -> bytes:
    """Return a TIFF of one directory whose only strip is ``start``, 64 bytes at most."""
    at = 8 + 64 + 2 + 12 * len(tags) + 4
    entries, behind = b"", b""
    for tag in sorted(tags):
        packed = struct.pack(f"{order}{len(tags[tag])}I", *(value & 0xFFFFFFFF for value in tags[tag]))
        place = packed
        if len(packed) > 4:
            place, behind = struct.pack(order + "I", at + len(behind)), behind + packed
        entries += struct.pack(order + "HHI", tag, 4, len(tags[tag])) + place
    head = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(order + "I", 8 + 64)
    return head + start.ljust(64, b"\0") + struct.pack(order + "H", len(tags)) + entries + bytes(4) + behind
