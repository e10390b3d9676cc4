"""Maps and masks of a slice, made from its stored token maps alone: no model is needed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray
from pycocotools import mask as coco

from s2sw.model.maps import MapLayer, assemble, axis_operators, sigmoid
from s2sw.pipeline.imaging.run_lengths import checked_runs, decode_runs
from s2sw.pipeline.imaging.tiles import Box

COCO_RLE = "coco_rle"
"""COCO's compressed run lengths, column-major, as pycocotools reads them."""
PACKBITS_ZSTD = "packbits_zstd"
"""Rows packed 8 pixels a byte (most significant first), each row padded to a byte, then zstd."""
RLE_PIXELS = 1 << 24
"""Above this many pixels a mask is packed row by row, so that encoding needs no whole-image array."""
STRIP_PIXELS = 1 << 18
"""Pixels of a map that are made at a time: they stay in the processor's cache until they are measured, and
most strips of a picture need not be made at all. Smaller ones cost more than they save."""
ROUNDING = 1e-5
"""How far a pixel may lie above what bounds it, as a share: float32 products are rounded."""


class Strip(NamedTuple):
    """The rows top..bottom of a slice, and a value that no pixel of its map exceeds there."""

    top: int
    bottom: int
    bound: float


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

    def strips(self) -> list[Strip]:
        """Return the strips, from top to bottom, in which the map is made."""
        height = max(1, STRIP_PIXELS // self.cols)
        spans = [(top, min(top + height, self.rows)) for top in range(0, self.rows, height)]
        if len(spans) == 1 or not self._is_linear:
            return [Strip(*span, np.inf) for span in spans]
        return [Strip(*span, bound) for span, bound in zip(spans, self._bounds(spans), strict=True)]

    def part(self, strip: Strip) -> NDArray[np.float32]:
        """Return the map of one strip, float32 (some rows, cols) in 0..1.

        Where tiles overlap their maps are averaged; the result is the larger of that and the map of the
        whole slice, since tiles find what is small and the whole finds what is large.
        """
        whole = self._part(0, (0, 0, self.cols, self.rows), strip.top, strip.bottom)
        return np.maximum(whole, self._tiles(strip.top, strip.bottom)) if self.boxes else whole

    def full(self) -> NDArray[np.float32]:
        """Return the full map, float32 (rows, cols) in 0..1."""
        return np.ascontiguousarray(np.concatenate([self.part(strip) for strip in self.strips()]))

    def mean(self) -> float | None:
        """Return the map's mean without making the map; None where it is no linear function of the tokens."""
        if not self._is_linear:
            return None
        total = 0.0
        for layer, grid in self._grids(0):
            down, across = _axis_mean(layer, self.rows), _axis_mean(layer, self.cols)
            total += layer.weight * float(down @ grid.astype(np.float64) @ across)
        return total

    @property
    def _is_linear(self) -> bool:
        return not self.boxes and not any(layer.logit for layer in self.layers)

    def _grids(self, view: int) -> Iterator[tuple[MapLayer, NDArray[np.float32]]]:
        """Yield the layers and grids of one view's token map."""
        tokens, start = self.token_maps[view].astype(np.float32).ravel(), 0
        for layer in self.layers:
            yield layer, tokens[start : start + layer.grid**2].reshape(layer.grid, layer.grid)
            start += layer.grid**2

    def _bounds(self, spans: list[tuple[int, int]]) -> NDArray[np.float64]:
        """Return what no pixel of each span of rows exceeds: what the maps at the detector's own size reach.

        A pixel of the slice lies between pixels of those, whatever the slice's size.
        """
        bounds = np.zeros(len(spans))
        for layer, grid in self._grids(0):
            (operator,) = axis_operators(layer, layer.side)
            highest = (operator @ grid @ operator.T).max(axis=1)
            near = [highest[_between(layer.side, self.rows, *span)].max() for span in spans]
            bounds += layer.weight * np.array(near, np.float64)
        return bounds + ROUNDING * np.abs(bounds)

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
        tokens = np.concatenate([grid.T.ravel() for _, grid in self._grids(view)])

        def down(layer: MapLayer) -> tuple[NDArray[np.float32], ...]:
            *first, last = axis_operators(layer, box[3] - box[1])
            return *first, last[top - box[1] : bottom - box[1]]

        def across(layer: MapLayer) -> tuple[NDArray[np.float32], ...]:
            return axis_operators(layer, box[2] - box[0])

        return np.asarray(assemble(tokens[None], self.layers, across, down, sigmoid)[0].T, np.float32)


@lru_cache(maxsize=64)
def _axis_mean(layer: MapLayer, length: int) -> NDArray[np.float64]:
    """Return what each token of a row of the grid gives to the mean over ``length`` pixels."""
    (operator,) = axis_operators(layer, length)
    return np.asarray(operator.mean(axis=0, dtype=np.float64))


def _between(side: int, length: int, first: int, last: int) -> slice:
    """Return the rows of ``side`` that the rows first..last of ``length`` are resized from, bilinearly."""
    low, high = ((row + 0.5) * side / length - 0.5 for row in (first, last - 1))
    return slice(max(0, int(low)), min(side, int(high) + 2))


@dataclass(frozen=True, slots=True)
class MaskRow:
    """A slice's mask and the summary of its map, as written to the table of slices."""

    mask: bytes
    mask_encoding: str
    map_max: float
    map_mean: float
    area_fraction: float


def measure(maps: SliceMaps, threshold: float) -> MaskRow:
    """Return the mask of pixels at or above the threshold (0..1), encoded, and the map's summary.

    Strips that can hold neither a pixel of the mask nor the maximum are not made.
    """
    threshold = float(np.float32(threshold))  # as maps are
    pixels = maps.rows * maps.cols
    highest, total, mean = 0.0, 0.0, maps.mean()
    mask = _Mask(maps.rows, maps.cols)
    for strip in sorted(maps.strips(), key=lambda strip: -strip.bound):
        if mean is not None and strip.bound < min(threshold, highest):
            break
        part = maps.part(strip)
        here = float(part.max())
        highest = max(highest, here)
        if mean is None:
            # a product: a sum in float64 takes six times as long
            columns = part.T @ np.ones(len(part), np.float32)
            total += float(columns.sum(dtype=np.float64))
        if here >= threshold:
            mask.add(strip.top, part, threshold)
    data, encoding, area = mask.encoded()
    return MaskRow(data, encoding, highest, total / pixels if mean is None else mean, area / pixels)


class _Mask:
    """A slice's mask, filled strip by strip; of a large one only packed bits are held."""

    def __init__(self, rows: int, cols: int) -> None:
        self._rows, self._cols = rows, cols
        self._small = rows * cols <= RLE_PIXELS
        self._pixels: NDArray[Any] | None = None
        self._packed_area = 0

    def add(self, top: int, part: NDArray[np.float32], threshold: float) -> None:
        """Put in the rows from top on, of a part of the map (some rows, cols) that reaches the threshold."""
        if self._pixels is None:
            self._pixels = (
                np.zeros((self._rows, self._cols), np.bool_, order="F")
                if self._small
                else np.zeros((self._rows, -(-self._cols // 8)), np.uint8)
            )
        place = self._pixels[top : top + len(part)]
        if self._small:
            np.greater_equal(part, threshold, out=place)
        else:
            above = np.ascontiguousarray(part >= threshold)  # packing along columns takes four times as long
            place[:] = np.packbits(above, axis=1)
            self._packed_area += int(np.count_nonzero(above))

    def encoded(self) -> tuple[bytes, str, int]:
        """Return the mask's bytes, the encoding's name and the number of its pixels."""
        if self._pixels is None:  # nearly every slice of an archive
            return *empty_mask(self._rows, self._cols), 0
        if not self._small:
            return zstandard.compress(self._pixels.tobytes(), 3), PACKBITS_ZSTD, self._packed_area
        runs = _run_lengths(self._pixels)
        return _compressed(runs, self._rows, self._cols), COCO_RLE, int(runs[1::2].sum())


def empty_mask(rows: int, cols: int) -> tuple[bytes, str]:
    """Return what ``encode_mask`` makes of a mask without a pixel, without making one."""
    if rows * cols <= RLE_PIXELS:
        return _compressed(np.array([rows * cols]), rows, cols), COCO_RLE
    return zstandard.compress(bytes(rows * -(-cols // 8)), 3), PACKBITS_ZSTD


def encode_mask(mask: NDArray[np.bool_]) -> tuple[bytes, str]:
    """Encode a mask, bool (rows, cols), and name the encoding."""
    if mask.size <= RLE_PIXELS:
        return _compressed(_run_lengths(np.asfortranarray(mask)), *mask.shape), COCO_RLE
    return zstandard.compress(np.packbits(mask, axis=1).tobytes(), 3), PACKBITS_ZSTD


def _run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of runs outside of the mask and inside of it, in turns, column by column.

    The mask lies so in memory. Only the columns that have pixels are gone through: most of a mask is empty.
    """
    used = np.flatnonzero(mask.any(axis=0))
    if not used.size:
        return np.array([mask.size])
    pixels = mask[:, used[0] : used[-1] + 1].ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts_inside, ends_inside = [0] * bool(pixels[0]), [pixels.size] * bool(pixels[-1])
    places = used[0] * len(mask) + np.concatenate([starts_inside, changes, ends_inside])
    runs = np.diff(places.astype(np.int64), prepend=0, append=mask.size)
    return np.asarray(runs if runs[-1] else runs[:-1])


def _compressed(counts: NDArray[np.int64], rows: int, cols: int) -> bytes:
    """Return COCO's compressed form of run lengths, the first of which is of pixels outside of the mask."""
    runs: bytes = coco.frPyObjects({"counts": counts, "size": [rows, cols]}, rows, cols)["counts"]
    return runs


def decode_mask(data: bytes, encoding: str, rows: int, cols: int) -> NDArray[np.bool_]:
    """Return the mask, bool (rows, cols).

    Raises ValueError for an unknown encoding or a wrong size, before anything of that size is allocated.
    """
    if encoding == COCO_RLE:
        return decode_runs(data, rows, cols)
    width = -(-cols // 8)
    packed = unpacked_mask(data, encoding, rows, cols).reshape(rows, width)
    return np.unpackbits(packed, axis=1, count=cols).astype(np.bool_)


def check_mask(data: bytes, encoding: str, rows: int, cols: int) -> None:
    """Raise ValueError as ``decode_mask``, without making the mask."""
    if encoding == COCO_RLE:
        checked_runs(data, rows, cols)
    else:
        unpacked_mask(data, encoding, rows, cols)


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
