"""The pixels and maps of slices as the page shows them: made when asked for, kept in memory only."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.slices import Slice
from s2sw.pipeline.imaging.encoding import Pixels, fitting, shrunk, squared
from s2sw.pipeline.imaging.masks import SliceMaps
from s2sw.pipeline.imaging.outlines import covered, outline
from s2sw.pipeline.imaging.overlays import HEAT
from s2sw.pipeline.ledger.run_records import ReportError
from s2sw.pipeline.results.reading import full_map, slice_maps
from s2sw.pipeline.results.sources import NoSourceError, ObjectRef, Sources
from s2sw.pipeline.review.deep import Deep, deep_of
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.tables import Row

LARGE_SIDE = 1600  # pixels of the longer side of a large picture
MAP_SIDE = 1024  # of the map that is laid over it
SMALL_SIDE = 256
KEPT_BYTES = 96 << 20  # of decoded slices, so that a volume can be looked through
DEEP_BYTES = 160 << 20  # of slices at their own size and depth
DECODING = threading.BoundedSemaphore(2)  # a decoder may take hundreds of MB

Key = tuple[str, str, int]
"""Run, object and slice."""

WORDS = {
    Reason.NOT_FOUND: "The source is gone: nothing lies at its address any more.",
    Reason.CHANGED: "The source has changed since it was screened; the next run takes up the new version.",
    Reason.DENIED: "The source may not be read by this account.",
    Reason.TIMEOUT: "The storage does not answer.",
    Reason.THROTTLED: "The storage asks to slow down; try again.",
}


class NoPictureError(Exception):
    """A slice cannot be shown; the message says why, and names nothing of the object."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A volume half way: the next slice that its decoder yields has this index."""

    run_id: str
    object_id: str
    index: int
    slices: Iterator[Slice]


@dataclass(frozen=True, slots=True)
class Small:
    """A slice, uint8 (rows, cols) or (rows, cols, 3), its longer side at most LARGE_SIDE.

    aspect: height of a pixel by its width.
    """

    pixels: Pixels
    aspect: float

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.pixels.nbytes


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


T = TypeVar("T", bound=_Sized)


class Kept(Generic[T]):
    """What was used last, as many as fit into so many bytes, and the newest in any case."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._items: OrderedDict[Key, T] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> T | None:
        """Return what is kept under a key."""
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: Key, item: T) -> None:
        """Keep an item and drop those that were not used for longest."""
        if (before := self._items.pop(key, None)) is not None:
            self._bytes -= before.nbytes
        self._items[key] = item
        self._bytes += item.nbytes
        while self._bytes > self._most and len(self._items) > 1:
            self._bytes -= self._items.popitem(last=False)[1].nbytes


class Pictures:
    """Decodes slices of sources. Safe for several threads."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._small: Kept[Small] = Kept(KEPT_BYTES)
        self._deep: Kept[Deep] = Kept(DEEP_BYTES)
        self._lock = threading.Lock()
        self._open: _Open | None = None

    def small(self, wanted: ObjectRef, index: int) -> Small:
        """Return a slice as large as the page usually shows it. Raises NoPictureError."""
        return self._found(self._small, wanted, index)

    def deep(self, wanted: ObjectRef, index: int) -> Deep:
        """Return a slice at its own size and depth, as far as the page may hold it. Raises NoPictureError."""
        return self._found(self._deep, wanted, index)

    def _found(self, kept: "Kept[T]", wanted: ObjectRef, index: int) -> T:
        key = (wanted.run_id, wanted.object_id, index)
        with self._lock:
            found = kept.get(key)
        if found is None:
            with self._explained(), DECODING:
                self._decode(wanted, index)
            with self._lock:
                found = kept.get(key)
        if found is None:  # others pushed it out meanwhile
            raise NoPictureError("The page is busy; look at the slice again.")
        return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise NoPictureError with words for whatever keeps a source from being read."""
        try:
            yield
        except (NoSourceError, ReportError) as error:
            raise NoPictureError(f"No picture: {error}.") from error
        except ScreeningError as error:
            words = WORDS.get(error.reason, f"The source cannot be read any more: {error.reason.value}.")
            raise NoPictureError(words) from error

    def _decode(self, wanted: ObjectRef, index: int) -> None:
        opened = self._take_open(wanted, index)
        slices = opened.slices if opened else self._sources.slices(wanted, originals=True)
        for place, picture in enumerate(slices, start=opened.index if opened else 0):
            self._keep((wanted.run_id, wanted.object_id, place), picture)
            if place == index:
                with self._lock:
                    self._open = _Open(wanted.run_id, wanted.object_id, place + 1, slices)
                return
        raise NoPictureError(f"The source has no slice {index + 1} any more.")

    def _take_open(self, wanted: ObjectRef, index: int) -> _Open | None:
        """Return the volume left open if it is this one and not yet past the slice."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is None or (opened.run_id, opened.object_id) != (wanted.run_id, wanted.object_id):
            return None
        return opened if opened.index <= index else None

    def _keep(self, key: Key, picture: Slice) -> None:
        small = Small(shrunk(picture.pixels, LARGE_SIDE), picture.geometry.aspect)
        deep = deep_of(picture, LARGE_SIDE)
        with self._lock:
            self._small.put(key, small)
            self._deep.put(key, deep)


def small_map(row: Row, side: int = MAP_SIDE, *, zero_shot: bool = False) -> NDArray[np.float32]:
    """Return the map of a row of slices, float32 0..1, its longer side at most so many pixels.

    zero_shot: the one of the detector alone. It is rebuilt from the token map at that size, so that a huge
    slice costs no more than a small one.
    """
    rows, cols = fitting(row["rows"], row["cols"], side)
    if (rows, cols) == (row["rows"], row["cols"]):
        return full_map(row, zero_shot=zero_shot)
    maps = slice_maps(row, zero_shot=zero_shot)
    across, down = cols / maps.cols, rows / maps.rows
    boxes = [
        (round(left * across), round(top * down), round(right * across), round(bottom * down))
        for left, top, right, bottom in maps.boxes
    ]
    # tiles of less than a pixel are not there
    kept = [place for place, box in enumerate(boxes) if box[0] < box[2] and box[1] < box[3]]
    tokens = maps.token_maps[[0, *(1 + place for place in kept)]]
    return SliceMaps(tokens, maps.layers, rows, cols, [boxes[place] for place in kept]).full()


def map_bytes(values: NDArray[np.float32]) -> bytes:
    """Return a map as little-endian 16-bit numbers in row order; 65535 is 1."""
    return np.round(values * 65535).clip(0, 65535).astype("<u2").tobytes()


def thumbnail(picture: Small, mask: NDArray[np.bool_] | None) -> bytes:
    """Return a small JPEG of a slice, its pixels squares, with its mask outlined. mask: bool, of any size."""
    shape = picture.pixels.shape
    rows, cols = fitting(*squared(shape[0], shape[1], picture.aspect), SMALL_SIDE)
    image = Image.fromarray(picture.pixels).resize((cols, rows), Image.Resampling.BOX)
    canvas = np.array(image.convert("RGB"))
    if mask is not None:
        canvas[outline(covered(mask, rows, cols))] = HEAT[2].astype(np.uint8)
    out = BytesIO()
    Image.fromarray(canvas).save(out, "JPEG", quality=88)
    return out.getvalue()
