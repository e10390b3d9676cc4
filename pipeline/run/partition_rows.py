"""What a partition of a run has committed, by its own parts: for whoever goes on where a writer was lost."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.committed import slices_of
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER, partition_mark
from s2sw.schemas.outcomes import Status

_COLUMNS = ["object_id", "status", "reason", "n_slices"]


def committed_tally(output: OutputFolder, run_id: str, partition: int) -> Tally:
    """Count what the writers of a partition have committed."""
    tally = Tally()
    for name in _parts(output, run_id, partition):
        table = output.read_columns(name, _COLUMNS)
        tally.statuses.update(map(Status, table["status"].to_pylist()))
        tally.reasons.update(reason for reason in table["reason"].to_pylist() if reason is not None)
        count = pc.sum(table["n_slices"]).as_py() or 0
        tally.slices += count
        if count:
            tiles = output.read_columns(slices_of(name), ["tiles"])["tiles"]
            tally.views += count + (pc.sum(pc.list_value_length(tiles)).as_py() or 0) // 4
    return tally


def committed_numbers(output: OutputFolder, run_id: str, partition: int, todo: Todo) -> NDArray[np.bool_]:
    """Tell of each object of a partition's to-do list whether it is committed."""
    parts = [output.read_columns(name, ["object_id"]) for name in _parts(output, run_id, partition)]
    if not parts:
        return np.zeros(todo.objects, np.bool_)
    done = pa.concat_tables(parts)["object_id"].combine_chunks()
    found = [
        pc.is_in(pq.read_table(path, columns=["object_id"])["object_id"], value_set=done).to_numpy()
        for path in todo.paths
    ]
    marks: NDArray[np.bool_] = np.concatenate(found)
    return marks


def sweep_partition(output: OutputFolder, run_id: str, partition: int) -> None:
    """Remove the parts of slices that a lost writer did not commit. For the one that holds the partition."""
    committed = set(map(slices_of, _parts(output, run_id, partition)))
    for name in _parts(output, run_id, partition, SLICES_FOLDER):
        if name not in committed:
            output.delete(name)


def _parts(output: OutputFolder, run_id: str, partition: int, folder: str = OBJECTS_FOLDER) -> list[str]:
    """Return the partition's parts of a table; those of objects are there after their slices: committed."""
    first = f"{folder}/{run_id}-{partition_mark(partition)}"
    return [name for name in output.names(folder) if name.startswith(first)]
