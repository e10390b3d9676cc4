"""The rows of an export: the highest scores under one fingerprint, object by object."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from s2sw.pipeline.results import reading as results
from s2sw.pipeline.results.checking import BAD_ROW, bounded_columns, problem_of, sound
from s2sw.pipeline.results.sources import ObjectRef
from s2sw.schemas.tables import RANK, SORTED, Row

Heat = NDArray[np.float32]
Mask = NDArray[np.bool_]
Ranks = dict[int, int]
"""Of the chosen slices of one object: rank by slice."""

SLICES_AT_ONCE = 1000
"""Rows, with masks and maps, in memory at a time; to find them DuckDB goes through those of all rows."""


@dataclass(frozen=True)
class Selection:
    """Which slices of one fingerprint: at most top (None: all), with at least this score.

    The score is the rank score, else the image score, 0..1. flagged: only those that reach the
    flagging thresholds in force.
    """

    fingerprint: str
    top: int | None = 100
    min_score: float = 0.0
    flagged: bool = False


@dataclass(frozen=True)
class Finding:
    """One slice of results. rank: 1 has the highest score. threshold: of its mask; None is the stored one."""

    rank: int
    row: Row
    threshold: float | None = None

    @property
    def stem(self) -> str:
        """A name for files, which says nothing that the results do not; the id's form was checked."""
        return f"{self.rank:05}-{self.row['object_id']}-{self.row['slice_index']:04}"

    @property
    def cut(self) -> float:
        """The threshold of the mask, 0..1."""
        return float(self.row["threshold"]) if self.threshold is None else self.threshold

    def mask(self) -> Mask:
        """Return the mask, bool (rows, cols). Made when asked for: kept ones would fill the memory."""
        return results.mask(self.row, self.threshold)

    def drawn(self) -> tuple[Heat, Mask]:
        """Return the anomaly map, float32 (rows, cols) in 0..1, and the mask."""
        heat = results.full_map(self.row)
        return heat, results.mask(self.row) if self.threshold is None else heat >= self.threshold


@dataclass(frozen=True)
class Case:
    """The chosen slices of one object, in the order of the object; uri is None in private results."""

    findings: list[Finding]
    uri: str | None
    decoder: str

    @property
    def wanted(self) -> ObjectRef:
        """What finds the object again."""
        row = self.findings[0].row
        return ObjectRef(row["object_id"], row["run_id"], self.uri)


def cases(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    threshold: float | None,
    skipped: Counter[str],
    addresses: bool,
) -> Iterator[Case]:
    """Yield the objects of the chosen slices, the one with the highest score first.

    Rows that no run wrote are counted in ``skipped``. addresses: False for private results, which have none.
    """
    for group in _grouped(_ranks(connection, selection, skipped)):
        rows: dict[str, dict[int, Row]] = {}
        found, _ = sound(_rows(connection, selection.fingerprint, group))
        for row in found:
            rows.setdefault(row["object_id"], {})[row["slice_index"]] = row
        for object_id, slices in group.items():
            own = rows.get(object_id, {})
            if len(own) < len(slices):  # left out above, or of no object
                skipped[BAD_ROW] += len(slices) - len(own)
            if own:
                findings = [Finding(slices[index], row, threshold) for index, row in own.items()]
                first = findings[0].row
                yield Case(findings, first["uri"] if addresses else None, first["decoder"])


def _ranks(
    connection: duckdb.DuckDBPyConnection, selection: Selection, skipped: Counter[str]
) -> dict[str, Ranks]:
    ranks: dict[str, Ranks] = {}
    rank = 0
    for object_id, slice_index in _chosen(connection, selection):
        if problem_of({"object_id": object_id, "slice_index": slice_index}):
            skipped[BAD_ROW] += 1
            continue
        rank += 1
        ranks.setdefault(object_id, {})[slice_index] = rank
    return ranks


def _grouped(ranks: dict[str, Ranks]) -> Iterator[dict[str, Ranks]]:
    """Yield whole objects in groups of at least so many slices."""
    group: dict[str, Ranks] = {}
    size = 0
    for object_id, slices in ranks.items():
        group[object_id] = slices
        size += len(slices)
        if size >= SLICES_AT_ONCE:
            yield group
            group, size = {}, 0
    if group:
        yield group


def _chosen(connection: duckdb.DuckDBPyConnection, selection: Selection) -> Iterator[tuple[str, int]]:
    table = "flagged" if selection.flagged else "slices"
    rows = connection.execute(
        f"SELECT object_id, slice_index FROM {table} WHERE fingerprint = ? AND {RANK} >= ? "  # noqa: S608
        f"ORDER BY {SORTED} DESC, object_id, slice_index LIMIT ?",
        [selection.fingerprint, selection.min_score, selection.top],
    )
    while found := rows.fetchmany(10_000):
        yield from found


def _rows(connection: duckdb.DuckDBPyConnection, fingerprint: str, wanted: dict[str, Ranks]) -> list[Row]:
    """Return whole rows of the wanted slices in the order of their objects' slices, with uri and decoder."""
    places = [(object_id, index) for object_id, slices in wanted.items() for index in slices]
    ids, indices = zip(*places, strict=True)
    cursor = connection.cursor()
    cursor.register("wanted", pa.table({"object_id": ids, "slice_index": pa.array(indices, pa.int32())}))
    marks = ", ".join("?" * len(wanted))
    query = (
        f"WITH own AS (SELECT * FROM slices WHERE fingerprint = ? AND object_id IN ({marks})) "  # noqa: S608
        f"SELECT {bounded_columns('own')}, o.uri, o.decoder, o.study_id, o.series_id FROM own "
        "SEMI JOIN wanted USING (object_id, slice_index) "
        f"JOIN (SELECT * FROM objects WHERE fingerprint = ? AND object_id IN ({marks})) o "
        "USING (object_id, fingerprint, run_id) ORDER BY slice_index"
    )
    found = cursor.sql(query, params=[fingerprint, *wanted, fingerprint, *wanted])
    rows: list[Row] = found.to_arrow_table().to_pylist()
    return rows
