"""A night's worklist: which objects to open, and how many of them are expected to be false alarms."""

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.evidence.discoveries import null_share, q_values
from s2sw.pipeline.evidence.references import LEAST
from s2sw.pipeline.evidence.rows import OBJECT, Night
from s2sw.pipeline.evidence.units import judged_units
from s2sw.pipeline.flagging.decisions import decisions
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.ledger.run_records import ReportError
from s2sw.pipeline.results.reading import Results
from s2sw.schemas import layout
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.forms import RUN_OF_A_DAY
from s2sw.schemas.tables import WORKLIST

DEFAULT = FlagSettings(fdr=0.1)
"""How long a list is where nobody says so."""
ROW_GROUP = 50_000
"""Rows of a written list that are read together: it is sorted by rank, and read a page at a time."""


@dataclass(frozen=True)
class Value:
    """What a list is worth.

    listed, units: how many are on it, and of how many. judged: those of the list with a q-value.
    false_alarms: how many of these are expected to be false alarms; None where there is no past. unjudged:
    units without a p-value. first_night: units that have no past.
    """

    listed: int
    units: int
    judged: int
    false_alarms: float | None
    unjudged: int
    first_night: int

    @property
    def fdr(self) -> float | None:
        """The expected share of false alarms among those of the list that have a q-value."""
        return None if self.false_alarms is None or not self.judged else self.false_alarms / self.judged

    def sentence(self, noun: str = "objects") -> str:
        """Say it in one line."""
        said = [f"{self.listed:,} of {self.units:,} {noun} are on the worklist"]
        if self.fdr is not None:
            share = f"{self.false_alarms:,.1f} ({self.fdr:.1%})"
            of = "them" if self.judged == self.listed else f"the {self.judged:,} with a past"
            said.append(f"at most about {share} of {of} are expected to be false alarms")
        if self.first_night:
            said.append(f"{self.first_night:,} have no past to tell false alarms by")
        if self.unjudged:
            said.append(f"{self.unjudged:,} have no p-value: fewer than {LEAST} are like them")
        return "; ".join(said)


@dataclass(frozen=True)
class Worklist:
    """A night's units, all of them (schema WORKLIST or CASES), and what the list among them is worth."""

    run_id: str
    table: pa.Table
    value: Value

    def listed(self) -> pa.Table:
        """Return the rows that are on the list."""
        return self.table.filter(self.table["listed"])


def newest_run(results: Results) -> str:
    """Return the id of the newest run with rows. Raises ReportError where there are none."""
    query = f"SELECT max(run_id) FROM objects WHERE {RUN_OF_A_DAY}"  # noqa: S608
    ((run_id,),) = results.connect().execute(query).fetchall()
    if run_id is None:
        raise ReportError(f"{results.output.root} holds no results yet; screen something first")
    return str(run_id)


def connected(results: Results) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views that a worklist is made of."""
    connection = results.connect()
    connection.register("decisions", decisions(results.output))
    return connection


def object_worklist(results: Results, run_id: str, size: FlagSettings, since: str = "") -> Worklist:
    """Return the worklist of a run's objects, or of all from a day on (the digits of a date)."""
    connection = connected(results)
    units = judged_units(connection, OBJECT, Night(since or run_id), results).drop_columns("unit_id")
    return listed(units, run_id, results.fingerprint, size, WORKLIST)


def listed(units: pa.Table, run_id: str, fingerprint: str, size: FlagSettings, schema: pa.Schema) -> Worklist:
    """Return units, in their order, as a worklist. size: fdr or budget."""
    p = units["p_value"].to_numpy(zero_copy_only=False).astype(np.float64)
    first = units["first_night"].to_numpy(zero_copy_only=False).astype(np.bool_)
    groups = units["group"].to_numpy(zero_copy_only=False).astype(str)
    tested = np.where(first, np.nan, p)
    q = q_values(tested)
    chosen = q <= size.fdr if size.fdr is not None else np.arange(len(q)) < (size.budget or 0)
    count = len(q)
    columns = {
        "rank": pa.array(np.arange(1, count + 1), pa.int32()),
        "listed": pa.array(chosen, pa.bool_()),
        "q_value": pa.array(q, pa.float64(), from_pandas=True),
        "q_group": pa.array(_by_group(tested, groups), pa.float64(), from_pandas=True),
        "fingerprint": pa.array([fingerprint] * count, pa.string()),
        "run_id": pa.array([run_id] * count, pa.string()),
        "date": pa.array([layout.day_of(run_id)] * count, pa.date32()),
    }
    rows = [columns[f.name] if f.name in columns else units[f.name].cast(f.type) for f in schema]
    return Worklist(run_id, pa.table(rows, schema=schema), _value(p, tested, first, chosen))


def written_value(output: OutputFolder, run_id: str, folder: str = layout.WORKLIST_FOLDER) -> Value | None:
    """Return what a run's list, as it was written, is worth; None where none was."""
    columns = ["p_value", "first_night", "listed"]
    try:
        table = output.read_columns(layout.worklist_name(folder, run_id), columns)
    except (FileNotFoundError, ValueError):
        return None
    p = table["p_value"].to_numpy(zero_copy_only=False).astype(np.float64)
    first, listed = (table[name].to_numpy(zero_copy_only=False).astype(np.bool_) for name in columns[1:])
    return _value(p, np.where(first, np.nan, p), first, listed)


def _value(
    p: NDArray[np.float64],
    tested: NDArray[np.float64],
    first: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
) -> Value:
    known = tested[~np.isnan(tested)]
    of_list = tested[chosen & ~np.isnan(tested)]
    alarms = None
    if len(known):
        highest = float(of_list.max(initial=0.0))
        alarms = min(float(len(of_list)), null_share(known) * len(known) * highest)
    return Value(int(chosen.sum()), len(p), len(of_list), alarms, int(np.isnan(p).sum()), int(first.sum()))


def _by_group(p: NDArray[np.float64], groups: NDArray[np.str_]) -> NDArray[np.float64]:
    found = np.full(len(p), np.nan)
    for name in np.unique(groups):
        own = groups == name
        found[own] = q_values(p[own])
    return found


def write(output: OutputFolder, worklist: Worklist, folder: str) -> str:
    """Write a worklist in one step, in place of an earlier one of the run; return the file's name."""
    name = layout.worklist_name(folder, worklist.run_id)
    output.write(name, table_bytes(worklist.table, ROW_GROUP))
    return name
