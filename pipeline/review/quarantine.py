"""What was not screened, and why, in words."""

from dataclasses import dataclass

import duckdb

from s2sw.pipeline.results.checking import sound
from s2sw.pipeline.review.queries import rows_of
from s2sw.schemas.outcomes import MEANINGS, Status
from s2sw.schemas.tables import Row

PAGE = 100
UNSCREENED = (Status.QUARANTINED, Status.NO_PIXELS)


@dataclass(frozen=True, slots=True)
class Unscreened:
    """A page of objects that were not screened, and how many there are by reason.

    left_out: rows of the page that no run wrote. last: the id of its last row, those included.
    """

    rows: list[Row]
    counts: list[Row]
    has_next: bool
    left_out: int = 0
    last: str = ""


def unscreened(
    cursor: duckdb.DuckDBPyConnection, fingerprint: str, status: Status, reason: str, after: str
) -> Unscreened:
    """Return the objects of a status, by id, behind an id; reason: only those of this one."""
    counts = rows_of(
        cursor,
        "SELECT reason, count(*) AS objects FROM objects WHERE fingerprint = ? AND status = ? "
        "GROUP BY reason ORDER BY objects DESC, reason",
        [fingerprint, status.value],
    )
    found = rows_of(
        cursor,
        "SELECT object_id, reason, bytes, decoder, attempts, fingerprint, run_id, uri FROM objects "
        "WHERE fingerprint = ? AND status = ? AND (? = '' OR reason = ?) AND object_id > ? "
        "ORDER BY object_id LIMIT ?",
        [fingerprint, status.value, reason, reason, after, PAGE + 1],
    )
    rows, left_out = sound(found[:PAGE])
    known = [row for row in counts if row["reason"] in MEANINGS]
    return Unscreened(
        rows, known, len(found) > PAGE, left_out, found[:PAGE][-1]["object_id"] if found else ""
    )
