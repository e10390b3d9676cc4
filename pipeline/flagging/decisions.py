"""Reviewers' decisions beside the results: rows that are only ever added, ``decisions/*.parquet``.

Every file has a name of its own that nobody else takes, and is there whole or not at all. So reviewers on
several machines may write at once, on a file system as on S3, and a killed one leaves nothing half written.
"""

import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.outputs.folder import TABLE_BYTES, OutputFolder
from s2sw.connectors.parquet.footer import NoParquetError
from s2sw.connectors.parquet.tables import bounded_table
from s2sw.pipeline.ledger.parquet import parquet_bytes, table_bytes
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.errors import UserError
from s2sw.schemas.layout import DECISIONS_FOLDER
from s2sw.schemas.tables import DECISIONS

REVIEWER_CHARACTERS = 100
NOTE_CHARACTERS = 2000
VERDICTS = """
SELECT object_id, slice_index, fingerprint, yes > no AS anomalous FROM (
    SELECT object_id, slice_index, fingerprint, count(*) FILTER (decision = 'accept') AS yes,
        count(*) FILTER (decision = 'reject') AS no
    FROM decisions GROUP BY ALL
) WHERE yes <> no
"""
"""SQL of what reviewers found of each slice; one on which as many accept as reject is neither."""
KEPT_FILES = 200
"""So many small files are left as they are; more are rewritten as one, since each is opened to be read."""

_SLICE = ["object_id", "slice_index", "fingerprint"]
_TRIES = 5  # listings, while another process rewrites the files


class DecisionError(UserError):
    """A decision that cannot be written; the message names the field and its value."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of schema DECISIONS, checked. threshold: of the mask that the reviewer looked at, 0..1.

    Raises DecisionError for an empty or overlong reviewer, an overlong note, a threshold outside of 0..1.
    """

    object_id: str
    slice_index: int
    fingerprint: str
    decision: DecisionKind
    reviewer: str
    decided: datetime
    threshold: float
    note: str = ""

    def __post_init__(self) -> None:
        check_reviewer(self.reviewer)
        if len(self.note) > NOTE_CHARACTERS:
            raise DecisionError(f"note has {len(self.note)} characters: at most {NOTE_CHARACTERS} are kept")
        if not 0 <= self.threshold <= 1:
            raise DecisionError(f"threshold is {self.threshold}: a number from 0 to 1 is expected")
        if self.decided.tzinfo is None:
            raise DecisionError(f"decided is {self.decided}: a time with its zone is expected")


def check_reviewer(name: str) -> None:
    """Raise DecisionError for a name that is empty or too long."""
    if not name.strip() or len(name) > REVIEWER_CHARACTERS:
        raise DecisionError(f"reviewer is {name[:20]!r}: 1 to {REVIEWER_CHARACTERS} characters are expected")


def append(output: OutputFolder, added: Iterable[Decision]) -> None:
    """Write decisions as one new file. They last once this returns."""
    rows = [asdict(decision) for decision in added]
    if rows:
        output.write(_new_name(), parquet_bytes(rows, DECISIONS))


def decisions(output: OutputFolder) -> pa.Table:
    """Return what counts now (schema DECISIONS): of each reviewer on each slice the newest row.

    Slices whose newest row withdraws the reviewer's decision have none. Of rows of the same instant the one
    that sorts last counts, so that all readers agree.
    """
    return counting(history(output))


def history(output: OutputFolder) -> pa.Table:
    """Return every row ever written (schema DECISIONS), oldest first."""
    return ordered(read_files(output, decision_files(output)))


def counting(rows: pa.Table) -> pa.Table:
    """Return those of a history's rows (schema DECISIONS) that count, oldest first."""
    rows = ordered(rows)
    numbered = rows.append_column("place", pa.array(range(len(rows)), pa.int64()))
    newest = numbered.group_by([*_SLICE, "reviewer"]).aggregate([("place", "max")])["place_max"]
    kept = numbered.filter(pc.field("place").isin(newest)).drop_columns("place")
    return kept.filter(pc.field("decision") != DecisionKind.WITHDRAWN.value)


def ordered(rows: pa.Table) -> pa.Table:
    """Return rows (schema DECISIONS) oldest first, each once: a killed rewriting leaves some there twice."""
    once = rows.group_by(rows.column_names).aggregate([]).select(rows.column_names).cast(DECISIONS)
    return once.sort_by([("decided", "ascending"), *((name, "ascending") for name in DECISIONS.names)])


def decision_files(output: OutputFolder) -> list[str]:
    """Return the names of the files of decisions."""
    return [name for name in output.names(DECISIONS_FOLDER) if name.endswith(".parquet")]


def compact(output: OutputFolder, keep: int = KEPT_FILES) -> int:
    """Rewrite more than so many files as one; return how many were replaced.

    The new file is there before an old one goes, so that no reader misses a row, whenever this is killed; two
    that do it at once leave rows twice, which readers drop.
    """
    names = decision_files(output)
    if len(names) <= keep:
        return 0
    try:
        table = pa.concat_tables(_read_file(output, name) for name in names)
    except FileNotFoundError:  # another process is at it
        return 0
    output.write(_new_name(), table_bytes(ordered(table)))
    for name in names:
        output.delete(name)
    return len(names)


def read_files(output: OutputFolder, names: list[str]) -> pa.Table:
    """Return the rows of files (schema DECISIONS); of all where some were just rewritten."""
    for _ in range(_TRIES):
        try:
            return pa.concat_tables([DECISIONS.empty_table(), *(_read_file(output, n) for n in names)])
        except FileNotFoundError:
            names = decision_files(output)
    raise DecisionError(
        f"{output.root}/{DECISIONS_FOLDER}: files keep vanishing while they are read; try again"
    )


def _read_file(output: OutputFolder, name: str) -> pa.Table:
    data = output.read(name, TABLE_BYTES)
    try:
        return bounded_table(BytesIO(data)).select(DECISIONS.names).cast(DECISIONS)
    except (pa.ArrowException, OSError, NoParquetError, KeyError) as error:
        text = " ".join(str(error).split())
        raise DecisionError(
            f"{output.root}/{name}: not a file of decisions ({text}); move it elsewhere"
        ) from error


def _new_name() -> str:
    return f"{DECISIONS_FOLDER}/{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(8)}.parquet"
