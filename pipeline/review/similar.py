"""The usual pictures that a slice was most like when it was ranked, as far as these results hold them."""

import threading
from dataclasses import dataclass

from s2sw.pipeline.review.addresses import media_paths, slice_address
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.decision_log import DecisionLog, key_of
from s2sw.schemas.tables import Row

KEPT = 5000
"""Rows of pictures that are remembered: those of a bank are few, and stand beside many slices."""

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Alike:
    """rows: of slices, the most alike first. absent: pictures that these results do not hold."""

    rows: list[Row]
    absent: int = 0


class Similar:
    """Finds the rows of similar pictures. Safe for several threads. root: of the page."""

    def __init__(self, root: str, archive: Archive, decision_log: DecisionLog) -> None:
        self._root = root
        self._archive = archive
        self._decisions = decision_log
        self._lock = threading.Lock()
        self._kept: dict[Place, Row | None] = {}
        self._of: object = None

    def of(self, row: Row, query: str) -> Alike | None:
        """Return what stands beside a slice, whose columns are IN_FULL; None where its row names none.

        query: of the addresses.
        """
        if not row["similar_pictures"]:
            return None
        places = [(one["object_id"], one["slice_index"]) for one in row["similar_pictures"]]
        found = self._found(places, row["fingerprint"])
        return Alike([self._card(one, query) for one in found if one], found.count(None))

    def _found(self, places: list[Place], fingerprint: str) -> list[Row | None]:
        with self._lock:
            of = (fingerprint, self._archive.version)
            if self._of != of or len(self._kept) > KEPT:
                self._of, self._kept = of, {}
            missing = [place for place in places if place not in self._kept]
            if missing:
                rows = self._archive.slice_rows(missing, fingerprint)
                self._kept.update({place: rows.get(place) for place in missing})
            return [self._kept[place] for place in places]

    def _card(self, row: Row, query: str) -> Row:
        return {
            **row,
            "address": slice_address(self._root, row, query),
            "paths": media_paths(self._root, row),
            "said": self._decisions.said(key_of(row)),
        }
