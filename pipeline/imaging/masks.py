"""Maps and masks of a slice, made from its stored token maps alone: no model is needed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray
from pycocotools import mask as coco

from s2sw.model.maps import MapLayer, assemble, axis_operators, sigmoid
from s2sw.pipeline.imaging.run_lengths import decode_runs
from s2sw.pipeline.imaging.tiles import Box

COCO_RLE = "coco_rle"
"""COCO's compressed run lengths, column-major, as pycocotools reads them."""
PACKBITS_ZSTD = "packbits_zstd"
"""Rows packed 8 pixels a byte (most significant first), each row padded to a byte, then zstd."""
RLE_PIXELS = 1 << 24
"""Above this many pixels a mask is packed row by row, so that encoding needs no whole-image array."""
STRIP_PIXELS = 1 << 20
"""Pixels of a map that are made at a time: they stay in the processor's cache until they are measured."""


@dataclass(frozen=True)
class SliceMaps:
    """The token maps of one slice and where they lie; everything that its full map depends on.

    token_maps: float16 (1 + tiles, ...), the whole slice first; the numbers of one view are those of the
    layers. rows, cols: size of the slice.
    """

    token_maps: NDArray[np.float16]
    layers: tuple[MapLayer, ...]
    rows: int
    cols: int
    boxes: list[Box]

    def strips(self) -> Iterator[NDArray[np.float32]]:
        """Yield the full map, float32 in 0..1, as strips (some rows, cols) from top to bottom.

        Where tiles overlap their maps are averaged; the result is the larger of that and the map of the
        whole slice, since tiles find what is small and the whole finds what is large.
        """
        height = max(1, STRIP_PIXELS // self.cols)
        for top in range(0, self.rows, height):
            bottom = min(top + height, self.rows)
            strip = self._part(0, (0, 0, self.cols, self.rows), top, bottom)
            if self.boxes:
                strip = np.maximum(strip, self._tiles(top, bottom))
            yield strip

    def full(self) -> NDArray[np.float32]:
        """Return the full map, float32 (rows, cols) in 0..1."""
        return np.ascontiguousarray(np.concatenate(list(self.strips())))

    def _tiles(self, top: int, bottom: int) -> NDArray[np.float32]:
        total = np.zeros((bottom - top, self.cols), np.float32)
        weight = np.zeros_like(total)
        for view, box in enumerate(self.boxes, start=1):
            first, last = max(top, box[1]), min(bottom, box[3])
            if first < last:
                place = np.s_[first - top : last - top, box[0] : box[2]]
                total[place] += self._part(view, box, first, last)
                weight[place] += 1
        return np.asarray(total / np.maximum(weight, 1), np.float32)

    def _part(self, view: int, box: Box, top: int, bottom: int) -> NDArray[np.float32]:
        """Return the rows top..bottom (of the slice) of one view's map, over the columns of its box.

        It lies column by column in memory, as masks are encoded: turning a mask costs more than making it.
        """
        tokens = _transposed(self.token_maps[view].astype(np.float32).ravel(), self.layers)

        def down(layer: MapLayer) -> tuple[NDArray[np.float32], ...]:
            *first, last = axis_operators(layer, box[3] - box[1])
            return *first, last[top - box[1] : bottom - box[1]]

        def across(layer: MapLayer) -> tuple[NDArray[np.float32], ...]:
            return axis_operators(layer, box[2] - box[0])

        return np.asarray(assemble(tokens[None], self.layers, across, down, sigmoid)[0].T, np.float32)


def _transposed(tokens: NDArray[np.float32], layers: tuple[MapLayer, ...]) -> NDArray[np.float32]:
    """Return the numbers of one token map with the grid of each layer transposed."""
    grids = np.split(tokens, np.cumsum([layer.grid**2 for layer in layers])[:-1])
    return np.concatenate(
        [g.reshape(at.grid, at.grid).T.ravel() for g, at in zip(grids, layers, strict=True)]
    )


@dataclass(frozen=True, slots=True)
class MaskRow:
    """A slice's mask and the summary of its map, as written to the table of slices."""

    mask: bytes
    mask_encoding: str
    map_max: float
    map_mean: float
    area_fraction: float


def measure(maps: SliceMaps, threshold: float) -> MaskRow:
    """Return the mask of pixels at or above the threshold (0..1), encoded, and the map's summary."""
    threshold = float(np.float32(threshold))  # as maps are
    pixels = maps.rows * maps.cols
    highest, total = 0.0, 0.0
    for strip in maps.strips():
        # a product: a sum in float64 takes six times as long
        columns = strip.T @ np.ones(len(strip), np.float32)
        highest, total = max(highest, float(strip.max())), total + float(columns.sum(dtype=np.float64))
    if highest < threshold:  # nearly every slice of an archive: nothing to compare, count or encode
        return MaskRow(*empty_mask(maps.rows, maps.cols), highest, total / pixels, 0.0)
    data, encoding, area = _mask(maps, threshold)
    return MaskRow(data, encoding, highest, total / pixels, area / pixels)


def _mask(maps: SliceMaps, threshold: float) -> tuple[bytes, str, int]:
    """Return the encoded mask, the encoding's name and the mask's pixels; of large slices strip by strip."""
    masks = (strip >= threshold for strip in maps.strips())
    if maps.rows * maps.cols <= RLE_PIXELS:
        whole = np.concatenate(list(masks))
        return *encode_mask(whole), int(np.count_nonzero(whole))
    packed, area = bytearray(), 0
    for mask in masks:
        packed += np.packbits(mask, axis=1).tobytes()
        area += int(np.count_nonzero(mask))
    return zstandard.compress(packed, 3), PACKBITS_ZSTD, area


def empty_mask(rows: int, cols: int) -> tuple[bytes, str]:
    """Return what ``encode_mask`` makes of a mask without a pixel, without making one."""
    if rows * cols <= RLE_PIXELS:
        run = {"counts": [rows * cols], "size": [rows, cols]}
        return coco.frPyObjects(run, rows, cols)["counts"], COCO_RLE
    return zstandard.compress(bytes(rows * -(-cols // 8)), 3), PACKBITS_ZSTD


def encode_mask(mask: NDArray[np.bool_]) -> tuple[bytes, str]:
    """Encode a mask, bool (rows, cols), and name the encoding."""
    if mask.size <= RLE_PIXELS:
        return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"], COCO_RLE
    return zstandard.compress(np.packbits(mask, axis=1).tobytes(), 3), PACKBITS_ZSTD


def decode_mask(data: bytes, encoding: str, rows: int, cols: int) -> NDArray[np.bool_]:
    """Return the mask, bool (rows, cols).

    Raises ValueError for an unknown encoding or a wrong size, before anything of that size is allocated.
    """
    if encoding == COCO_RLE:
        return decode_runs(data, rows, cols)
    width = -(-cols // 8)
    packed = unpacked_mask(data, encoding, rows, cols).reshape(rows, width)
    return np.unpackbits(packed, axis=1, count=cols).astype(np.bool_)


def unpacked_mask(data: bytes, encoding: str, rows: int, cols: int) -> NDArray[np.uint8]:
    """Return the rows of a packed mask, 8 pixels a byte. Raises ValueError as ``decode_mask``."""
    if encoding != PACKBITS_ZSTD:
        raise ValueError(f"mask encoding {encoding!r} is unknown: {COCO_RLE} and {PACKBITS_ZSTD} are read")
    expected = rows * -(-cols // 8)
    try:
        # what a frame says of its size is what zstandard allocates, whatever limit it is given
        if zstandard.frame_content_size(data) != expected:
            raise ValueError(
                f"the mask does not hold the {expected} bytes expected of {rows} x {cols} pixels"
            )
        return np.frombuffer(zstandard.decompress(data, max_output_size=expected), np.uint8)
    except zstandard.ZstdError as error:
        raise ValueError(f"the mask cannot be unpacked ({error})") from error
