"""The frozen list of what a run has to account for."""

import contextlib
import gc
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.tables import MANIFEST

LISTING_BATCH = 10_000
ALLOCATIONS = 10 * LISTING_BATCH
"""Objects after which Python looks for circles of garbage; those of a batch hold none."""


def freeze(
    objects: Iterable[StoredObject],
    object_id: Callable[[str, str], str],
    path: Path,
    on_progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the listing to one Parquet file (schema MANIFEST), a batch at a time, and return its length.

    The first batch is listed before the file is made, so that a source that cannot be listed leaves
    nothing behind.
    """
    batches = _batched(objects, LISTING_BATCH)
    first = next(batches, [])
    count = 0
    with _rare_collections(), pq.ParquetWriter(path, MANIFEST, compression="zstd") as writer:
        for batch in itertools.chain([first], batches):
            rows = [
                (object_id(o.address, o.version), o.uri, o.size, o.etag, o.modified, o.member, o.place)
                for o in batch
            ]
            columns = zip(*rows, strict=True) if rows else [[]] * len(MANIFEST)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, MANIFEST, strict=True)]
            writer.write_table(pa.table(arrays, schema=MANIFEST))
            count += len(batch)
            on_progress(count)
    return count


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(ALLOCATIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _batched(objects: Iterable[StoredObject], size: int) -> Iterator[list[StoredObject]]:
    iterator = iter(objects)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
