"""The past of a night: the distribution of every earlier run's scores, kept beside the results as sketches.

A run's sketches are made of its committed rows when they are first asked for, and again where it has
committed others since; after that its rows are not read. Objects that were screened again since, and those in
which reviewers found an anomaly, are no part of the past: what they add is counted off, exactly.
"""

import contextlib

import duckdb
import numpy as np
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.evidence.references import Past, scored
from s2sw.pipeline.evidence.rows import Night, UnitKind
from s2sw.pipeline.evidence.sketch import Sketch
from s2sw.pipeline.flagging.decisions import VERDICTS
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.schemas import layout
from s2sw.schemas.forms import RUN_OF_A_DAY
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.tables import DISTRIBUTIONS

BATCH = 1 << 18  # scores in memory at a time, before they become a sketch
_VIEWS = """
CREATE OR REPLACE TEMP VIEW past_slices AS FROM all_slices WHERE fingerprint = {settings};
CREATE OR REPLACE TEMP VIEW past_objects AS FROM all_objects WHERE fingerprint = {settings};
"""
_LEFT_OUT = f"""
CREATE OR REPLACE TEMP TABLE left_out AS
SELECT object_id, run_id FROM superseded WHERE fingerprint = {{settings}} AND {{earlier}}
UNION SELECT object_id, run_id FROM past_objects WHERE {{earlier}}
    AND object_id IN (SELECT object_id FROM ({VERDICTS}) WHERE anomalous)
"""  # noqa: S608
_RUNS = """
FROM (SELECT run_id, count(*) FROM past_slices WHERE {earlier} GROUP BY run_id) WHERE {form} ORDER BY run_id
"""
_OF_LEFT_OUT = "(object_id, run_id) IN (FROM left_out)"
# a table, since few rows are left out of many and the conditions of sound ones cost more than this
_TOUCHED = f"""
CREATE OR REPLACE TEMP TABLE touched AS
SELECT object_id, run_id, fingerprint, slice_index, n_slices, "group", modality, body_part, plane, rank_score,
    image_score, area_fraction
FROM past_slices WHERE {{earlier}} AND (object_id, run_id) IN (
    SELECT object_id, run_id FROM past_objects
    WHERE ({{unit}}, run_id) IN (SELECT {{unit}}, run_id FROM past_objects WHERE {_OF_LEFT_OUT})
)
"""  # noqa: S608


def past_of(
    connection: duckdb.DuckDBPyConnection, kind: UnitKind, night: Night, output: OutputFolder, settings: str
) -> Past:
    """Return the scores of all units before a night, each as its own night saw it.

    connection: of ``Results.connect``, and ``decisions``. settings: the fingerprint of the night.
    """
    words = {"settings": "'" + settings.replace("'", "''") + "'", "earlier": night.earlier}
    connection.execute(_VIEWS.format(**words))
    connection.execute(_LEFT_OUT.format(**words))
    past = Past()
    runs = connection.execute(_RUNS.format(form=RUN_OF_A_DAY, **words)).fetchall()
    for run_id, rows in runs:
        _take(past, connection, kind, output, run_id, rows, settings)
    if connection.execute("SELECT count(*) FROM left_out").fetchall() != [(0,)]:
        _leave_out(past, connection, kind, night)
    return past


def _take(
    past: Past,
    connection: duckdb.DuckDBPyConnection,
    kind: UnitKind,
    output: OutputFolder,
    run_id: str,
    rows: int,
    settings: str,
) -> None:
    """Add the distribution of a run that has so many rows."""
    name = layout.distribution_name(run_id, kind.name)
    table = _kept(output, name, rows, settings)
    if table is None:
        table = _made(connection, kind, run_id, rows, settings)
        with contextlib.suppress(OSError, ScreeningError):  # an output that may only be read
            output.write(name, table_bytes(table))
    for row in range(len(table)):
        past.take((table["group"][row].as_py(), table["length"][row].as_py()), _sketch(table, row))


def _kept(output: OutputFolder, name: str, rows: int, settings: str) -> pa.Table | None:
    """Return a run's distribution as it was written; None where it is missing, damaged or of other rows."""
    try:
        table = output.read_columns(name, DISTRIBUTIONS.names).cast(DISTRIBUTIONS)
        made_of = set(zip(table["rows"].to_pylist(), table["fingerprint"].to_pylist(), strict=True))
        whole = all(_sketch(table, row).is_sound for row in range(len(table)))
    except (OSError, ValueError, ScreeningError, pa.ArrowException):
        return None
    return table if made_of == {(rows, settings)} and whole else None


def _made(
    connection: duckdb.DuckDBPyConnection, kind: UnitKind, run_id: str, rows: int, settings: str
) -> pa.Table:
    """Return a run's distribution (schema DISTRIBUTIONS), made of its rows."""
    own = Past()
    query = kind.query(f"run_id = '{run_id}'", "past_slices", "past_objects")
    for batch in connection.sql(query).to_arrow_reader(BATCH):
        own.add(scored(batch))
    known = [(key, own.sketch([key])) for key in own.known()]
    columns = {
        "group": [group for (group, _), _ in known],
        "length": [length for (_, length), _ in known],
        **{name: [getattr(one, name) for _, one in known] for name in ("n", "top", "body", "weights")},
        "rows": [rows] * len(known),
        "fingerprint": [settings] * len(known),
        "run_id": [run_id] * len(known),
        "date": [layout.day_of(run_id)] * len(known),
    }
    return pa.table([pa.array(columns[f.name], f.type) for f in DISTRIBUTIONS], schema=DISTRIBUTIONS)


def _sketch(table: pa.Table, row: int) -> Sketch:
    top, body, weights = (table[name][row].values.to_numpy() for name in ("top", "body", "weights"))
    return Sketch(table["n"][row].as_py(), top, body, weights.astype(np.int64))


def _leave_out(past: Past, connection: duckdb.DuckDBPyConnection, kind: UnitKind, night: Night) -> None:
    """Count off the units that have an object that is left out, and count what is left of them."""
    connection.execute(_TOUCHED.format(unit=kind.unit or "object_id", earlier=night.earlier))
    for condition, change in (("true", past.remove), (f"NOT {_OF_LEFT_OUT}", past.add)):
        query = kind.query(condition, "touched", "past_objects", more=", run_id" if kind.unit else "")
        for batch in connection.sql(query).to_arrow_reader(BATCH):
            change(scored(batch))
