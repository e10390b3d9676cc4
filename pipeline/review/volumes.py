"""The volume that a slice is part of: the slices of its file, or a series of single files in order."""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from s2sw.connectors.geometry import UNKNOWN_PLANE, Geometry, plane_from
from s2sw.pipeline.results.anatomy import in_order
from s2sw.pipeline.results.sources import ObjectRef, Sources
from s2sw.pipeline.review.archive import Archive
from s2sw.schemas.tables import Row

KEPT = 100_000  # planes of objects, some 300 bytes each
SECONDS = 30.0  # for the headers of a series; what was not read by then has no known place


@dataclass(frozen=True, slots=True)
class Volume:
    """Slices in order: object_id, slice_index and score of each. current: the place of the one shown.

    of_files: whether each lies in a file of its own. unplaced: how many of these have no known position, and
    come last. pending: their headers were not read yet, so that nothing is known of the order.
    """

    slices: Sequence[Row]
    current: int
    of_files: bool = False
    unplaced: int = 0
    pending: bool = False

    @property
    def words(self) -> str:
        """Say what the order is, and what it is not."""
        if not self.of_files:
            return ""
        if not self.unplaced:
            return "In anatomical order."
        if self.unplaced < len(self.slices):
            return f"In anatomical order; {self.unplaced} files without a known position come last."
        return "No position is known, so the order need not be anatomical."


class Volumes:
    """Finds volumes. Safe for several threads. reading: whether sources may be read for their order."""

    def __init__(self, archive: Archive, sources: Sources, reading: bool) -> None:
        self._archive = archive
        self._sources = sources
        self._reading = reading
        self._planes: OrderedDict[str, Geometry | None] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, row: Row, wait: bool = False) -> Volume | None:
        """Return the volume of a slice, None where it is alone.

        The order of a series is that of its rows; of rows of an earlier version, which do not say where a
        slice lies, that of the sources' headers. wait: read these; else it may be ``pending``.
        """
        if row["n_slices"] > 1:
            own = self._archive.stack(row["object_id"], row["fingerprint"])
            if sum(one["plane"] == row["plane"] for one in own) > 1:
                slices = [{**one, "object_id": row["object_id"]} for one in own]
                return _volume(slices, row)
        members = self._archive.series(row["object_id"], row["fingerprint"], row["plane"])
        if len(members) < 2:
            return None
        planes = {one["object_id"]: plane for one in members if (plane := plane_from(one)).height is not None}
        others = [one for one in members if one["object_id"] not in planes]
        unknown = [one for one in others if one["object_id"] not in self._planes] if self._reading else []
        if unknown and not wait:
            return Volume(members, 0, of_files=True, pending=True)
        planes |= self._read(others, unknown)

        def plane_of(one: Row) -> Geometry:
            return planes.get(one["object_id"], UNKNOWN_PLANE)

        unplaced = sum(plane_of(one).height is None for one in members)
        return _volume(in_order(members, plane_of), row, of_files=True, unplaced=unplaced)

    def _read(self, members: list[Row], unknown: list[Row]) -> dict[str, Geometry]:
        """Return the planes of members by id, those that are not known yet from their sources.

        What could not be read in time is asked for again the next time.
        """
        end = time.monotonic() + SECONDS
        private = self._sources.private
        wanted = [
            ObjectRef(one["object_id"], one["run_id"], None if private else one["uri"]) for one in unknown
        ]
        found = dict(self._sources.planes(wanted, lambda: time.monotonic() > end)) if wanted else {}
        with self._lock:
            self._planes.update(found)
            planes = {one["object_id"]: self._planes.get(one["object_id"]) for one in members}
            while len(self._planes) > KEPT:
                self._planes.popitem(last=False)
        return {object_id: plane for object_id, plane in planes.items() if plane is not None}


def _volume(slices: Sequence[Row], row: Row, of_files: bool = False, unplaced: int = 0) -> Volume | None:
    key = row["object_id"], row["slice_index"]
    places = [at for at, one in enumerate(slices) if (one["object_id"], one["slice_index"]) == key]
    return Volume(slices, places[0], of_files, unplaced) if places else None
