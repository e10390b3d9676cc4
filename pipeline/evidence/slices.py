"""The p-value of every slice of a night, among all earlier slices of its group."""

import numpy as np
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.evidence.distributions import past_of
from s2sw.pipeline.evidence.references import p_values, scored
from s2sw.pipeline.evidence.rows import SLICE, Night
from s2sw.pipeline.evidence.worklist import connected
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.results.reading import Results
from s2sw.schemas import layout
from s2sw.schemas.tables import P_VALUES


def slice_p_values(results: Results, run_id: str, since: str = "") -> pa.Table:
    """Return a row (schema P_VALUES) for each slice of a run, or of all from a day on (its digits)."""
    connection, night = connected(results), Night(since or run_id)
    past = past_of(connection, SLICE, night, results.output, results.fingerprint)
    own = connection.sql(SLICE.query(night.own, more="object_id, slice_index, ")).to_arrow_table()
    found = p_values(scored(own), past)
    count = len(own)
    columns = {
        "object_id": own["object_id"],
        "slice_index": own["slice_index"],
        "group": own["group"],
        "score": own["score"],
        "n_past": pa.array(found.size),
        "first_night": pa.array(found.first),
        "p_value": pa.array(np.asarray(found.p), pa.float64(), from_pandas=True),
        "fingerprint": pa.array([results.fingerprint] * count, pa.string()),
        "run_id": pa.array([run_id] * count, pa.string()),
        "date": pa.array([layout.day_of(run_id)] * count, pa.date32()),
    }
    return pa.table([columns[f.name].cast(f.type) for f in P_VALUES], schema=P_VALUES)


def write_p_values(output: OutputFolder, table: pa.Table, run_id: str) -> str:
    """Write them in one step, in place of earlier ones of the run; return the file's name."""
    name = layout.worklist_name(layout.P_VALUES_FOLDER, run_id)
    output.write(name, table_bytes(table))
    return name
