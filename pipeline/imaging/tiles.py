"""The views of a slice that the detector sees: the whole picture squashed, and tiles of a large one."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.schemas.config import TileSettings

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the slice; right and bottom are outside."""


def tile_boxes(rows: int, cols: int, settings: TileSettings) -> list[Box]:
    """Return boxes of equal size that cover the slice in row order; none for a slice of one tile.

    Tiles grow beyond the configured size where more than ``max_tiles`` would be needed, so that the cost of
    a slice stays bounded.
    """
    size = settings.size
    if not size or (rows <= size and cols <= size):
        return []
    overlap = settings.overlap / size
    while True:
        stride = max(1, round(size * (1 - overlap)))
        tops, lefts = _starts(rows, size, stride), _starts(cols, size, stride)
        if len(tops) * len(lefts) <= settings.max_tiles:
            break
        size = math.ceil(size * 1.1)
    height, width = min(size, rows), min(size, cols)
    boxes = [(left, top, left + width, top + height) for top in tops for left in lefts]
    return boxes if len(boxes) > 1 else []


def _starts(length: int, size: int, stride: int) -> list[int]:
    """Return starts of windows that reach both ends, spread evenly at most a stride apart."""
    last = max(0, length - size)
    steps = math.ceil(last / stride)
    return [round(last * i / steps) for i in range(steps + 1)] if steps else [0]


def views(pixels: NDArray[np.uint8], side: int, boxes: list[Box]) -> Iterator[NDArray[np.uint8]]:
    """Yield the whole slice and then every tile as the detector sees them, each uint8 (side, side, 3).

    Grey is resampled once and repeated, which gives the same as three channels would.
    """
    for small in shrunk(pixels, side, boxes):
        yield small if small.ndim == 3 else in_colour([small[None]])[0]


def shrunk(pixels: NDArray[np.uint8], side: int, boxes: list[Box]) -> Iterator[NDArray[np.uint8]]:
    """Yield the whole slice and then every tile, each uint8 (side, side) or (side, side, 3) as the slice is.

    pixels: uint8 (rows, cols) or (rows, cols, 3). Squashed by Pillow's antialiased bicubic resampling, as the
    detector was trained (method, section 1).
    """
    image = Image.fromarray(pixels)
    for box in (None, *boxes):
        yield np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def in_colour(stacks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return all pictures of stacks (B, side, side), or (B, side, side, 3), as (sum of B, side, side, 3).

    Grey becomes three equal channels.
    """
    count, (_, rows, cols, *_) = sum(map(len, stacks)), stacks[0].shape
    colour = np.empty((count, rows, cols, 3), np.uint8)
    place = 0
    for stack in stacks:
        part = colour[place : place + len(stack)]
        for channel in range(3):  # three times as fast as repeating each number
            part[..., channel] = stack if stack.ndim == 3 else stack[..., channel]
        place += len(stack)
    return colour


def boxes_of(edges: list[int]) -> list[Box]:
    """Return the tiles stored as a flat list of left, top, right, bottom."""
    return [(edges[i], edges[i + 1], edges[i + 2], edges[i + 3]) for i in range(0, len(edges), 4)]
