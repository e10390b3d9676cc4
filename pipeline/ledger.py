"""What is done: read from the committed objects parts. There is no second bookkeeping."""

from collections.abc import Iterator
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.outputs import OutputFolder
from schemas.tables import DEFERRED

DEFERRED_FILE = "runs/deferred.parquet"
_COLUMNS = ["object_id", "status", "reason", "run_id"]
_DONE = pa.schema([(name, pa.string()) for name in _COLUMNS])


def done_objects(output: OutputFolder, fingerprint: str, run_id: str | None = None) -> pa.RecordBatchReader:
    """Stream object_id, status, reason and run_id of the objects committed under this fingerprint.

    run_id: only those that this run committed.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for name in output.names("objects"):
            if run_id is not None and not PurePosixPath(name).name.startswith(f"{run_id}-"):
                continue
            table = pq.read_table(
                pa.BufferReader(output.read(name)), columns=[*_COLUMNS, "fingerprint"]
            ).filter(pc.field("fingerprint") == fingerprint)
            yield from table.select(_COLUMNS).cast(_DONE).to_batches()

    return pa.RecordBatchReader.from_batches(_DONE, batches())


def deferred_objects(output: OutputFolder) -> pa.RecordBatchReader:
    """Stream what the last run deferred (schema DEFERRED)."""
    try:
        table = pq.read_table(pa.BufferReader(output.read(DEFERRED_FILE)))
    except FileNotFoundError:
        table = DEFERRED.empty_table()
    return table.cast(DEFERRED).to_reader()
