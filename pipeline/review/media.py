"""What the page loads apart from its text: thumbnails, large pictures, maps."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from markupsafe import escape
from numpy.typing import NDArray
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from s2sw.pipeline.imaging.encoding import png
from s2sw.pipeline.results.checking import BadRowError, bounded, bounded_columns, problem_of, sound
from s2sw.pipeline.results.reading import mask
from s2sw.pipeline.results.sources import ObjectRef, Sources
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.deep import facts
from s2sw.pipeline.review.pictures import Kept, NoPictureError, Pictures, map_bytes, small_map, thumbnail
from s2sw.pipeline.review.queries import rows_of
from s2sw.schemas.tables import Row

KEPT = 2000  # slices of pages
MASKS_BYTES = 64 << 20  # of masks that are kept
MASK_BYTES = 4 << 20
"""Of a mask that is outlined: a page's are read at once."""
ROW_BYTES = 2048  # of what a row takes beside its mask
MAP_COLUMNS = bounded_columns("s")  # a detector says in its own columns how its map is rebuilt

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Switches:
    """What the reviewer chose when starting the page."""

    pictures: bool = True
    show_names: bool = False


class Media:
    """Answers the requests for pictures. Safe for several threads."""

    def __init__(self, archive: Archive, sources: Sources, switches: Switches) -> None:
        self._archive = archive
        self._sources = sources
        self._pictures = Pictures(sources)
        self._switches = switches
        self._pages: OrderedDict[Key, list[Row]] = OrderedDict()
        self._masks: Kept[_Mask] = Kept(MASKS_BYTES)
        self._lock = threading.Lock()

    def expect(self, rows: list[Row]) -> None:
        """Take note of a page's slices: when the first of them is asked for, all are looked up at once."""
        with self._lock:
            self._pages.update({_key(row): rows for row in rows})
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)

    def thumbnail(self, request: Request) -> Response:
        """Return the small picture of a slice with its mask outlined, or a card that says why not."""
        row = self._row(request)
        try:
            small = self._pictures.small(self._wanted(row), row["slice_index"])
        except NoPictureError as error:
            return Response(_card(str(error)), media_type="image/svg+xml")
        return Response(thumbnail(small, self._mask(row)), media_type="image/jpeg")

    def picture(self, request: Request) -> Response:
        """Return the slice as PNG, or a text that says why there is none.

        At most LARGE_SIDE pixels long; ``size=native`` in the address asks for all of them.
        """
        row = self._row(request)
        place = self._wanted(row), row["slice_index"]
        try:
            pixels = self._pictures.small(*place).pixels
            if request.query_params.get("size") == "native":
                full = self._pictures.deep(*place).full
                pixels = pixels if full is None else full
        except NoPictureError as error:
            return PlainTextResponse(str(error))
        return Response(png(pixels), media_type="image/png")

    def facts(self, request: Request) -> Response:
        """Return as JSON where a slice lies and what its values mean, or why that is not known."""
        row = self._row(request)
        try:
            found = facts(self._pictures.deep(self._wanted(row), row["slice_index"]))
        except NoPictureError as error:
            return JSONResponse({"why": str(error)})
        return JSONResponse(found)

    def values(self, request: Request) -> Response:
        """Return the grey values that a slice was made from, row by row, of the type that ``facts`` tells."""
        row = self._row(request)
        try:
            deep = self._pictures.deep(self._wanted(row), row["slice_index"])
        except NoPictureError as error:
            raise HTTPException(404, str(error)) from error
        if deep.values is None:
            raise HTTPException(404, deep.why)
        size = {"X-Rows": str(deep.values.shape[0]), "X-Cols": str(deep.values.shape[1])}
        return Response(deep.values.tobytes(), media_type="application/octet-stream", headers=size)

    def map(self, request: Request) -> Response:
        """Return the map as 16-bit numbers, its size in the headers X-Rows and X-Cols.

        ``of=zero-shot`` in the address asks for the one of the detector alone.
        """
        place = request.path_params
        row = self._archive.slice_row(
            place["object_id"], place["index"], request.query_params.get("settings", ""), MAP_COLUMNS
        )
        if row is None:
            raise HTTPException(404, "no such slice in the results")
        try:
            values = small_map(row, zero_shot=request.query_params.get("of") == "zero-shot")
        except BadRowError as error:
            raise HTTPException(404, str(error)) from error
        size = {"X-Rows": str(values.shape[0]), "X-Cols": str(values.shape[1])}
        return Response(map_bytes(values), media_type="application/octet-stream", headers=size)

    def _row(self, request: Request) -> Row:
        """Return what the address of a picture says of its slice."""
        if not self._switches.pictures:
            raise HTTPException(404, "pictures are switched off (--no-pictures)")
        place = request.path_params
        row = {
            "run_id": place["run_id"],
            "object_id": place["object_id"],
            "slice_index": place["index"],
            "fingerprint": request.query_params.get("settings", ""),
        }
        if problem_of(row):
            raise HTTPException(404, "no such slice")
        return row

    def _wanted(self, row: Row) -> ObjectRef:
        with self._lock:  # one look-up for the page, not one for each of its pictures
            wanted = ObjectRef(row["object_id"], row["run_id"])
            page = self._pages.get(_key(row), [row])
            together = [ObjectRef(other["object_id"], other["run_id"]) for other in page]
            if self._sources.find([wanted]) or self._sources.find(together).get(row["object_id"]):
                return wanted
            found = self._archive.objects([row["object_id"]], row["fingerprint"])
        return ObjectRef(row["object_id"], row["run_id"], found.get(row["object_id"], {}).get("uri"))

    def _mask(self, row: Row) -> NDArray[np.bool_] | None:
        key = _key(row)
        with self._lock:
            found = self._masks.get(key)
            if found is None:
                found = self._read_masks(self._pages.get(key, [row])).get(key)
        try:
            return mask(found.row) if found else None
        except BadRowError:  # the picture without its outline
            return None

    def _read_masks(self, rows: list[Row]) -> "dict[Key, _Mask]":
        wanted = pa.table({name: [row[name] for row in rows] for name in ("object_id", "slice_index")})
        cursor = self._archive.cursor()
        cursor.register("page", wanted)
        # the scores say which few of the files' pages have to be unpacked
        scores = [row["image_score"] for row in rows if "image_score" in row] or [0.0, 1.0]
        held = bounded("slices", "mask", MASK_BYTES)
        query = (
            f"SELECT object_id, slice_index, fingerprint, rows, cols, {held}, "  # noqa: S608
            "mask_encoding FROM slices WHERE fingerprint = ? "
            "AND image_score BETWEEN CAST(? AS FLOAT) AND CAST(? AS FLOAT) "
            "AND (object_id, slice_index) IN (FROM page)"
        )
        found, _ = sound(rows_of(cursor, query, [rows[0]["fingerprint"], min(scores), max(scores)]))
        masks = {_key(row): _Mask(row) for row in found}
        for key, one in masks.items():
            self._masks.put(key, one)
        return masks


@dataclass(frozen=True, slots=True)
class _Mask:
    """A row with its mask."""

    row: Row

    @property
    def nbytes(self) -> int:
        return len(self.row["mask"]) + ROW_BYTES


def _key(row: Row) -> Key:
    return row["fingerprint"], row["object_id"], row["slice_index"]


def _card(text: str) -> str:
    """Return a small picture with a text, as SVG."""
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 26:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    texts = "".join(
        f'<text x="128" y="{134 - 9 * len(lines) + 20 * place}" text-anchor="middle">{escape(line)}</text>'
        for place, line in enumerate(lines)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256" width="256" height="256" '
        'font-family="system-ui, sans-serif" font-size="15" fill="#aeb7c4">'
        f'<rect width="256" height="256" fill="#20262e"/>{texts}</svg>'
    )
