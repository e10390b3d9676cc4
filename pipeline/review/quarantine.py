"""What was not screened, and why, in words."""

from dataclasses import dataclass

import duckdb

from s2sw.pipeline.results.checking import sound
from s2sw.pipeline.review.queries import rows_of
from s2sw.schemas.outcomes import Reason, Status
from s2sw.schemas.tables import Row

PAGE = 100
UNSCREENED = (Status.QUARANTINED, Status.NO_PIXELS)

WORDS = {
    Reason.EMPTY: "the file has no bytes",
    Reason.UNKNOWN_FORMAT: "no format that is read here",
    Reason.TRUNCATED: "ends too early",
    Reason.MALFORMED: "damaged, or against its format's rules",
    Reason.UNSUPPORTED: "a known format in a variant that no decoder here covers",
    Reason.CODEC_MISSING: "an optional decoder that is not installed would read it",
    Reason.TOO_LARGE: "above a configured limit",
    Reason.BOMB: "would unpack to far more than its size can honestly hold",
    Reason.UNSAFE_MEMBER: "a name in an archive that leads out of it, or a link",
    Reason.NOT_FINITE: "no finite sample at all",
    Reason.NO_CLASS: "no rule of the run's configuration gives it a class name",
    Reason.NOT_AN_IMAGE: "a report, document or the like",
    Reason.DERIVED_LABELS: "a segmentation or other derived numbers",
    Reason.NOT_FOUND: "was listed, but gone when it was read",
    Reason.CHANGED: "changed between listing and reading",
    Reason.DENIED: "reading was not permitted",
    Reason.TIMEOUT: "the storage did not answer in time",
    Reason.THROTTLED: "the storage asked to slow down",
    Reason.IO_ERROR: "reading failed",
    Reason.WORKER_CRASHED: "its decoder ended the process, alone too",
    Reason.OUT_OF_MEMORY: "needed more memory than there was",
    Reason.DETECTOR_FAILED: "the detector failed on it",
    Reason.NOT_FINITE_SCORE: "the detector gave no finite score",
    Reason.TIME_WINDOW: "left for the next run",
}


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
    known = [row for row in counts if row["reason"] in WORDS]
    return Unscreened(
        rows, known, len(found) > PAGE, left_out, found[:PAGE][-1]["object_id"] if found else ""
    )
