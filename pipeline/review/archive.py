"""The results behind the page: one lazy database, opened again once a run has committed more."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.flagging.rule import flag_settings, has_site, threshold_sql
from s2sw.pipeline.ledger.committed import committed_parts
from s2sw.pipeline.ledger.run_records import ReportError, read_run
from s2sw.pipeline.results.checking import sound
from s2sw.pipeline.results.mode import results_are_private
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.results.sql_views import EVERY
from s2sw.pipeline.review.filters import Filters
from s2sw.pipeline.review.queries import rows_of
from s2sw.pipeline.review.ranking import COLUMNS, Counts
from s2sw.schemas.forms import RUN_OF_A_DAY
from s2sw.schemas.tables import RANK, SORTED, Row

MEMORY = "200MB"
THREADS = 2
LARGEST_STACK = 100_000
"""Slices of a volume that are drawn as a line at most."""
LARGEST_SERIES = 5000
"""Files of a DICOM series that are one volume at most."""

# a lone object is none of the thousands without a series, whose slices need not be read
_SERIES = """
SELECT object_id, uri FROM objects WHERE fingerprint = ? AND series_id =
    (SELECT min(series_id) FROM objects WHERE object_id = ? AND fingerprint = ?) LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Slices made under one fingerprint. latest: the newest run that has any."""

    fingerprint: str
    slices: int
    latest: str


class Archive:
    """Queries on an output. Safe for several threads: each call has a cursor of its own."""

    def __init__(self, output: OutputFolder) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._parts: object = None
        self._facets: dict[str, dict[str, list[str]]] = {}
        self.counted: dict[Filters, Counts] = {}
        """What ``Worklist`` counted. Take it before a cursor: once more is committed it is another one."""
        self.version = 0  # grows as runs commit
        self.refresh()
        self.private = results_are_private(output, self._connection)

    def refresh(self) -> None:
        """Open the database again if a run has committed more, or flags by other thresholds."""
        flag = flag_settings(self._output)
        parts = (committed_parts(self._output), flag)
        with self._lock:
            if parts == self._parts:
                return
            connection = Results(self._output, EVERY).connect()
            connection.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}")
            threshold = threshold_sql(flag)
            connection.execute(
                f"CREATE VIEW ranked AS SELECT *, {RANK} AS score, {SORTED} AS place, "  # noqa: S608
                f"{threshold} AS flag_threshold FROM slices"
            )
            self._connection, self._parts, self.flag = connection, parts, flag
            self._facets, self.counted = {}, {}
            self.version += 1
            self.settings = _settings(connection)
            self.has_site = has_site(connection)

    def newest_run(self, fingerprint: str) -> str | None:
        """Return the newest run with results under a fingerprint."""
        return next((one.latest for one in self.settings if one.fingerprint == fingerprint), None)

    def slices_of(self, fingerprint: str) -> int:
        """Return how many slices there are under a fingerprint."""
        return sum(one.slices for one in self.settings if one.fingerprint == fingerprint)

    def cursor(self, decisions: pa.Table | None = None) -> duckdb.DuckDBPyConnection:
        """Return a cursor with the views of the results, and these decisions as ``said``.

        Of the views, ``ranked`` is ``slices`` with what it is ranked by, ``score`` (the rank
        score, or else the image score), what it is ordered by, ``place``, and from which score it is
        flagged, ``flag_threshold``.
        """
        cursor = self._connection.cursor()
        if decisions is not None:
            cursor.register("said", decisions)
        return cursor

    def facets(self, fingerprint: str) -> dict[str, list[str]]:
        """Return the values of modality, and of site where some rows have one, under one fingerprint."""
        known = self._facets
        if fingerprint not in known:
            columns = ["modality", *(["site"] if self.has_site else [])]
            query = f"SELECT DISTINCT {', '.join(columns)} FROM slices WHERE fingerprint = ?"  # noqa: S608
            rows = rows_of(self.cursor(), query, [fingerprint])
            known[fingerprint] = {column: _choices({row[column] for row in rows}) for column in columns}
        return known[fingerprint]

    def slice_row(self, object_id: str, index: int, fingerprint: str, columns: str = COLUMNS) -> Row | None:
        """Return a row of slices that a run may have written, or None; of its columns only these are read."""
        if not 0 <= index < 1 << 31:  # beyond the column
            return None
        query = f"SELECT {columns} FROM ranked s WHERE object_id = ? AND slice_index = ? AND fingerprint = ?"  # noqa: S608
        found, _ = sound(rows_of(self.cursor(), f"{query} LIMIT 1", [object_id, index, fingerprint]))
        return found[0] if found else None

    def slice_rows(self, places: list[tuple[str, int]], fingerprint: str) -> dict[tuple[str, int], Row]:
        """Return the rows of some slices that a run may have written, by object and slice."""
        ids, indices = ([place[at] for place in places] for at in (0, 1))
        cursor = self.cursor()
        page = {"object_id": pa.array(ids, pa.string()), "slice_index": pa.array(indices, pa.int32())}
        cursor.register("page", pa.table(page))
        query = (
            f"SELECT {COLUMNS} FROM ranked s WHERE fingerprint = ? "  # noqa: S608
            "AND (object_id, slice_index) IN (FROM page)"
        )
        found, _ = sound(rows_of(cursor, query, [fingerprint]))
        return {(row["object_id"], row["slice_index"]): row for row in found}

    def family_names(self, run_id: str) -> list[str]:
        """Return what a run calls the parts of the image score; none where its record does not say."""
        try:
            names = read_run(self._output, run_id).summary.bundle.get("family_names") or []
        except (FileNotFoundError, ReportError):
            return []
        return [str(name) for name in names]

    def stack(self, object_id: str, fingerprint: str) -> list[Row]:
        """Return slice_index, score and plane of all slices of an object, in order."""
        query = (
            f"SELECT slice_index, {RANK} AS score, plane FROM slices "  # noqa: S608 (a constant)
            "WHERE object_id = ? AND fingerprint = ? ORDER BY slice_index LIMIT ?"
        )
        return sound(rows_of(self.cursor(), query, [object_id, fingerprint, LARGEST_STACK]))[0]

    def series(self, object_id: str, fingerprint: str, plane: str) -> list[Row]:
        """Return slices of all objects of a DICOM series, by the id of one of them; none if it is in none.

        Of each object the slices of this plane: object_id, slice_index, score, run_id, uri and where it
        lies in the patient, in no order.
        """
        cursor, most = self.cursor(), LARGEST_SERIES + 1
        own = cursor.sql(_SERIES, params=[fingerprint, object_id, fingerprint, most]).to_arrow_table()
        if not 1 < len(own) < most:
            return []
        cursor.register("own", own)
        query = (
            f"SELECT s.object_id, s.slice_index, s.run_id, {RANK} AS score, own.uri, "  # noqa: S608
            "image_position, image_orientation, instance_number FROM slices s "
            "JOIN own USING (object_id) WHERE s.fingerprint = ? AND s.plane = ? LIMIT ?"
        )
        found, _ = sound(rows_of(cursor, query, [fingerprint, plane, most]))
        return found if len(found) < most else []

    def objects(self, ids: Iterable[str], fingerprint: str) -> dict[str, Row]:
        """Return the rows of objects by id."""
        query = "SELECT * FROM objects WHERE list_contains(?, object_id) AND fingerprint = ?"
        found, _ = sound(rows_of(self.cursor(), query, [list(ids), fingerprint]))
        return {row["object_id"]: row for row in found}


def _choices(values: set[str | None]) -> list[str]:
    """Return values in order, what is missing at the end."""
    return [value or "none" for value in sorted(values, key=lambda value: (value is None, value or ""))]


def _settings(connection: duckdb.DuckDBPyConnection) -> list[Settings]:
    """Return the fingerprints in the results, the one of the newest run first."""
    query = (
        "SELECT fingerprint, CAST(sum(n_slices) AS BIGINT) AS slices, max(run_id) AS latest FROM objects "  # noqa: S608
        f"WHERE {RUN_OF_A_DAY} GROUP BY fingerprint ORDER BY latest DESC"
    )
    found, _ = sound(rows_of(connection, query))
    return [Settings(**row) for row in found]
