"""The cases of the newest night, a page at a time: the list that was written, or one made here."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.evidence.cases import CASES_BY, PERSON_ID, case_worklist, kind_of
from s2sw.pipeline.evidence.worklist import DEFAULT, newest_run, write
from s2sw.pipeline.flagging.rule import flag_settings
from s2sw.pipeline.results.checking import problem_of
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.review.archive import MEMORY, THREADS, Archive
from s2sw.pipeline.review.case_rows import is_share, is_sound
from s2sw.pipeline.review.queries import rows_of
from s2sw.schemas.layout import CASES_FOLDER, worklist_name
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.tables import OBJECT_RANK, Row

PAGE = 48
SEEN = 100_000
"""Cases whose rank is remembered, some 150 bytes each."""
MADE_AT_ONCE = 50_000
"""Slices of results of which the list is made when the page is opened; of more a command makes it."""

_COLUMNS = (
    "rank, listed, case_id, level, n_objects, n_slices, worst, n_findings, findings, earlier_run, "
    'earlier_score, change, score, "group", n_past, first_night, p_value, q_value, q_group, '
    "fingerprint, run_id"
)
_PRIOR = """
WITH own AS (
    SELECT min({person}) AS person FROM objects WHERE fingerprint = $settings AND {unit} = $case
)
SELECT object_id, run_id, fingerprint, coalesce(max_rank_slice, max_slice) AS slice_index, n_slices,
    {score} AS score
FROM objects WHERE fingerprint = $settings AND run_id = $run AND {person} = (SELECT person FROM own)
    AND max_score IS NOT NULL
ORDER BY score DESC, object_id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases. every: those too that are not on the list. undecided: only those without a decision."""

    every: bool = False
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a list is done. claimed: the share of false alarms that it claims, None without a past."""

    cases: int
    listed: int
    decided: int
    claimed: float | None

    @property
    def share(self) -> float:
        """The share of the list that is decided, 0..1."""
        return self.decided / self.listed if self.listed else 1.0


@dataclass(frozen=True, slots=True)
class CasePage:
    """Cases in their order. left_out: rows among them that no list of ours has."""

    rows: list[Row]
    has_previous: bool
    has_next: bool
    left_out: int = 0


class CaseList:
    """Queries on the newest list of cases under one fingerprint. Safe for several threads."""

    def __init__(self, output: OutputFolder, archive: Archive) -> None:
        self._output = output
        self._archive = archive
        self._lock = threading.Lock()
        self._found: dict[tuple[str, int], tuple[str, str]] = {}
        self._made: dict[str, pa.Table] = {}
        self._opened: tuple[tuple[str, int], duckdb.DuckDBPyConnection] | None = None
        self._ranks: dict[str, int] = {}

    def of(self, fingerprint: str, decided: Callable[[str], pa.Table]) -> "Cases | None":
        """Return the newest list of a fingerprint, made if it is missing and quick to make; None without one.

        decided: gives the ids of cases that count as done, ``case_id``, by SQL of the id of an object's case.
        """
        with self._lock:
            sizes = self._output.sizes(CASES_FOLDER)
            name = self._newest(fingerprint, sizes)
            newest = self._archive.newest_run(fingerprint)
            if newest is not None and (name is None or name < worklist_name(CASES_FOLDER, newest)):
                name = self._make(fingerprint, newest) or name
            if name is None:
                return None
            size = sizes.get(name, 0)
            cursor = self._open(name, size, decided(self._facts(name, size)[1]))
            return Cases(cursor, name, newest, self._ranks)

    def decided(self, fingerprint: str, said: pa.Table, unit: str) -> pa.Table:
        """Return case_id and decision of every decision that counts on a slice of a case. unit: its id."""
        query = (
            f"SELECT {unit} AS case_id, said.decision, said.reviewer FROM objects "  # noqa: S608
            "JOIN said USING (object_id, fingerprint) WHERE fingerprint = ? "
            "AND object_id IN (SELECT object_id FROM said)"
        )
        return self._archive.cursor(said).sql(query, params=[fingerprint]).to_arrow_table()

    def prior(self, case: Row) -> Row | None:
        """Return what the earlier run, which the case tells of, found highest: a slice of an object."""
        values = {"settings": case["fingerprint"], "case": case["case_id"], "run": case["earlier_run"]}
        query = _PRIOR.format(person=PERSON_ID, unit=kind_of([case["level"]]).unit, score=OBJECT_RANK)
        found: list[Row] = self._archive.cursor().sql(query, params=values).to_arrow_table().to_pylist()
        return next((row for row in found if problem_of(row) is None), None)

    def _newest(self, fingerprint: str, sizes: dict[str, int]) -> str | None:
        """Return the name of the newest list under a fingerprint."""
        for name in sorted(sizes, reverse=True):
            if name.endswith(".parquet") and self._facts(name, sizes[name])[0] == fingerprint:
                return name
        return None

    def _facts(self, name: str, size: int) -> tuple[str, str]:
        """Return the fingerprint of a list, and SQL of the id of what it calls an object's case."""
        if (name, size) not in self._found:
            source = self._source(name)
            first = f"SELECT fingerprint, findings[1].weight FROM {source} LIMIT 1"  # noqa: S608
            levels = f"SELECT DISTINCT level FROM {source}"  # noqa: S608
            with self._connection() as connection:
                try:
                    rows = connection.execute(first).fetchall()
                    known = connection.execute(levels).fetchall()
                except duckdb.Error:  # a damaged file is no list, nor one of an earlier version
                    rows, known = [], []
            unit = kind_of(str(level) for (level,) in known).unit
            self._found[name, size] = (str(rows[0][0]) if rows else "", unit)
        return self._found[name, size]

    def _make(self, fingerprint: str, newest: str) -> str | None:
        """Make the list of the newest run where that is quick; return its name."""
        if self._archive.slices_of(fingerprint) > MADE_AT_ONCE:
            return None
        results = Results(self._output, fingerprint)
        flag = flag_settings(self._output)
        size = flag if flag.lists else DEFAULT.model_copy(update={"cases": flag.cases})
        made = case_worklist(results, newest_run(results), size)
        name = worklist_name(CASES_FOLDER, made.run_id)
        try:
            write(self._output, made, CASES_FOLDER)
        except (OSError, ScreeningError):  # an output that may only be read
            self._made[name] = made.table
        self._found[name, 0] = (fingerprint, CASES_BY[flag.cases].unit)
        return name if name == worklist_name(CASES_FOLDER, newest) else None

    def _connection(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
                "temp_directory": "", "memory_limit": MEMORY, "threads": str(THREADS),
            }
        )  # fmt: skip
        remote = self._output.reader(CASES_FOLDER)
        if remote is not None:
            connection.register_filesystem(remote)
        else:
            connection.execute("SET enable_external_file_cache = false")
        return connection

    def _open(self, name: str, size: int, decided: pa.Table) -> duckdb.DuckDBPyConnection:
        """Return a cursor of its own with the views ``cases`` and ``decided``; the database is kept."""
        if self._opened is None or self._opened[0] != (name, size):
            self._ranks = {}
            self._opened = ((name, size), self._connection())
        cursor = self._opened[1].cursor()
        cursor.register("decided", decided)
        if name in self._made:
            cursor.register("cases", self._made[name])
        else:
            cursor.execute(f"CREATE TEMP VIEW cases AS SELECT {_COLUMNS} FROM {self._source(name)}")  # noqa: S608
        return cursor

    def _source(self, name: str) -> str:
        address = self._output.address(name).replace("'", "''")
        path = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in address)
        return f"read_parquet(['{path}'], hive_partitioning = false)"


class Cases:
    """One list of cases, and which of them are decided.

    newest: the newest run with results. ranks: of cases by id, as far as they were seen; it is added to.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, name: str, newest: str | None, ranks: dict[str, int]
    ) -> None:
        self._connection = connection
        self._ranks = ranks
        self.run_id = name.rpartition("/")[2].removesuffix(".parquet")
        self.is_newest = newest is None or self.run_id >= newest

    def page(self, chosen: CaseFilter, after: int = 0, before: int = 0) -> CasePage:
        """Return the cases behind a rank, or those before one; ranks begin with 1."""
        if before:
            found = self._rows(chosen, "rank < ?", before, "rank DESC", PAGE + 1)
            more, found = len(found) > PAGE, found[:PAGE][::-1]
            return self._page(found, more, True)
        found = self._rows(chosen, "rank > ?", after, "rank", PAGE + 1)
        return self._page(found[:PAGE], after > 0, len(found) > PAGE)

    def one(self, case_id: str) -> Row | None:
        """Return a case by its id."""
        query = f"SELECT {_COLUMNS} FROM cases WHERE case_id = ?"  # noqa: S608
        rank, found = self._ranks.get(case_id), []
        if rank is not None:  # the list is sorted by it: little of the file is read
            found = rows_of(self._connection, f"{query} AND rank = ? LIMIT 1", [case_id, rank])
        found = found or rows_of(self._connection, f"{query} LIMIT 1", [case_id])
        self._remember(found)
        return found[0] if found and is_sound(found[0]) else None

    def neighbours(self, chosen: CaseFilter, rank: int) -> tuple[Row | None, Row | None]:
        """Return the cases before and behind a rank."""
        before = self._rows(chosen, "rank < ?", rank, "rank DESC", 1)
        behind = self._rows(chosen, "rank > ?", rank, "rank", 1)
        return next(filter(is_sound, before), None), next(filter(is_sound, behind), None)

    def progress(self) -> Progress:
        """Return how much of the list is done."""
        query = (
            "SELECT (SELECT count(*) FROM cases), count(*), "
            "count(*) FILTER (case_id IN (SELECT case_id FROM decided)), max(q_value) FROM cases WHERE listed"
        )
        ((cases, listed, decided, claimed),) = self._connection.execute(query).fetchall()
        return Progress(cases, listed, decided, claimed if is_share(claimed) else None)

    def _page(self, found: list[Row], has_previous: bool, has_next: bool) -> CasePage:
        kept = [row for row in found if is_sound(row)]
        return CasePage(kept, has_previous, has_next, len(found) - len(kept))

    def _rows(self, chosen: CaseFilter, condition: str, rank: int, order: str, limit: int) -> list[Row]:
        conditions = [condition]
        if not chosen.every:
            conditions.append("listed")
        if chosen.undecided:
            conditions.append("case_id NOT IN (SELECT case_id FROM decided)")
        where = " AND ".join(conditions)
        query = f"SELECT {_COLUMNS} FROM cases WHERE {where} ORDER BY {order} LIMIT {limit:d}"  # noqa: S608
        found = rows_of(self._connection, query, [rank])
        self._remember(found)
        return found

    def _remember(self, found: list[Row]) -> None:
        if len(self._ranks) > SEEN:
            self._ranks.clear()
        self._ranks.update({row["case_id"]: row["rank"] for row in found})
