"""What is done: read from the committed objects parts. There is no second bookkeeping."""

import logging
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.outputs.folder import TABLE_BYTES, OutputFolder
from s2sw.connectors.parquet.tables import bounded_table
from s2sw.pipeline.ledger.committed import committed
from s2sw.schemas import layout
from s2sw.schemas.errors import UserError
from s2sw.schemas.layout import DEFERRED_FILE
from s2sw.schemas.outcomes import STORAGE_REASONS
from s2sw.schemas.tables import DEFERRED, OBJECTS

log = logging.getLogger(__name__)

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
    found = committed(output)
    if found.damaged:
        log.warning("%s", f"{found.says_damaged}; its objects are screened again")

    def batches() -> Iterator[pa.RecordBatch]:
        for name in found.objects:
            if force and layout.part_of(name).run != run_id:
                continue
            table = _rows(output, name).filter((pc.field("fingerprint") == fingerprint) & counts)
            if name in found.without_slices:
                table = table.filter(pc.field("n_slices") == 0)
            yield from table.select(_COLUMNS).cast(_DONE).to_batches()

    return pa.RecordBatchReader.from_batches(_DONE, batches())


def _rows(output: OutputFolder, name: str) -> pa.Table:
    """Return the rows of a part; none, with a word, of one that turns out to be damaged inside."""
    columns = [*_COLUMNS, "fingerprint", "n_slices"]
    try:
        return bounded_table(pa.BufferReader(output.read(name, TABLE_BYTES)), columns)
    except (pa.ArrowException, OSError, UserError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        log.warning("%s", f"{name} is damaged: its objects are screened again; `s2sw verify` tells more")
        return OBJECTS.empty_table().select(columns)


def deferred_objects(output: OutputFolder) -> pa.RecordBatchReader:
    """Stream what the last run deferred (schema DEFERRED)."""
    try:
        table = bounded_table(pa.BufferReader(output.read(DEFERRED_FILE, TABLE_BYTES))).cast(DEFERRED)
    except FileNotFoundError:
        table = DEFERRED.empty_table()
    except (
        pa.ArrowException,
        OSError,
        UserError,
    ):
        # it says only since when objects wait; this run writes it again
        log.warning(
            "%s", f"{DEFERRED_FILE} is damaged: which objects have waited longest is not known any more"
        )
        table = DEFERRED.empty_table()
    return table.to_reader()
