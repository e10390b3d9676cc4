"""What is done: read from the committed objects parts. There is no second bookkeeping."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.schemas import layout
from s2sw.schemas.layout import DEFERRED_FILE, OBJECTS_FOLDER
from s2sw.schemas.outcomes import STORAGE_REASONS
from s2sw.schemas.tables import DEFERRED

ASKED_AGAIN = sorted(reason.value for reason in STORAGE_REASONS)
_COLUMNS = ["object_id", "status", "reason", "run_id"]
_DONE = pa.schema([(name, pa.string()) for name in _COLUMNS])


def done_objects(
    output: OutputFolder, fingerprint: str, run_id: str, force: bool = False
) -> pa.RecordBatchReader:
    """Stream object_id, status, reason and run_id of what is done under this fingerprint, as a run sees it.

    run_id: that run's. Objects that storage kept from earlier runs are not done: it asks for them again.
    force: only what the run itself committed is done.
    """
    own = pc.field("run_id") == run_id
    counts = own if force else own | pc.field("reason").is_null() | ~pc.field("reason").isin(ASKED_AGAIN)

    def batches() -> Iterator[pa.RecordBatch]:
        for name in layout.parts(output.names(OBJECTS_FOLDER)):
            if force and layout.part_of(name).run != run_id:
                continue
            table = pq.read_table(
                pa.BufferReader(output.read(name)), columns=[*_COLUMNS, "fingerprint"]
            ).filter((pc.field("fingerprint") == fingerprint) & counts)
            yield from table.select(_COLUMNS).cast(_DONE).to_batches()

    return pa.RecordBatchReader.from_batches(_DONE, batches())


def deferred_objects(output: OutputFolder) -> pa.RecordBatchReader:
    """Stream what the last run deferred (schema DEFERRED)."""
    try:
        table = pq.read_table(pa.BufferReader(output.read(DEFERRED_FILE)))
    except FileNotFoundError:
        table = DEFERRED.empty_table()
    return table.cast(DEFERRED).to_reader()
