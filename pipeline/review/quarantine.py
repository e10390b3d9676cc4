"""What was not screened, and why, in words."""

from dataclasses import dataclass

import duckdb

from s2sw.pipeline.review.queries import rows_of
from s2sw.schemas.outcomes import Status
from s2sw.schemas.tables import Row

PAGE = 100
UNSCREENED = (Status.QUARANTINED, Status.NO_PIXELS)


@dataclass(frozen=True, slots=True)
class Unscreened:
    """A page of objects that were not screened, and how many there are by reason."""

    rows: list[Row]
    counts: list[Row]
    has_next: bool


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
    return Unscreened(found[:PAGE], counts, len(found) > PAGE)
