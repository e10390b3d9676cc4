"""Memory and time of subtracting what is done from a listing, at millions of ids.

    .venv/bin/python -m benchmarks.idsets --objects 10000000

Writes a manifest of that many objects to a temporary folder, takes all but every thousandth as done, and
writes the to-do list, as a run does. Prints the peak memory of this process after the manifest is there.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.figures import note
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.id_sets import IdSets
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.tables import DEFERRED

KEY = bytes(32)


def write_manifest(path: Path, objects: int) -> None:
    listed = (
        StoredObject(f"s3://archive/{i % 1000:03}/{i:012}.dcm", 500_000, f"{i:032x}", float(i))
        for i in range(objects)
    )
    started = time.monotonic()
    freeze(listed, object_ids(KEY), path)
    seconds = time.monotonic() - started
    note("freezing a listing", objects / seconds, "objects/s")
    print(f"manifest of {objects} objects: {seconds:.1f} s")
    print(f"{path.stat().st_size / 2**20:.0f} MiB")


def done(manifest: Path) -> pa.RecordBatchReader:
    schema = pa.schema([(name, pa.string()) for name in ("object_id", "status", "reason")])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in pq.ParquetFile(manifest).iter_batches(100_000, columns=["object_id", "modified"]):
            ids = batch.filter(pc.not_equal(pc.bit_wise_and(batch["modified"].cast(pa.int64()), 1023), 0))[
                "object_id"
            ]
            columns = [ids, pa.array(["screened"] * len(ids)), pa.nulls(len(ids), pa.string())]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def subtract(folder: Path, fresh: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    manifest = folder / "manifest.parquet"
    sets = IdSets(manifest, folder)
    started = time.monotonic()
    finished = done(manifest)
    sets.load("done", finished.schema.empty_table().to_reader() if fresh else finished)
    loaded = time.monotonic()
    sets.load("deferred", DEFERRED.empty_table().to_reader())
    todo = Todo.write(folder / "todo", sets.open_objects(), 64)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"done loaded in {loaded - started:.1f} s, {todo.objects} to do in {time.monotonic() - loaded:.1f} s"
    )
    note("subtracting what is done from a listing: peak memory", peak / 2**10, "MiB")
    print(f"peak memory {peak / 2**10:.0f} MiB ({before / 2**10:.0f} MiB before)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000_000)
    parser.add_argument("--fresh", action="store_true", help="nothing is done: the first run's case")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        subtract(arguments.folder, arguments.fresh)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder) / "manifest.parquet", arguments.objects)
        command = [sys.executable, "-m", "benchmarks.idsets", "--folder", folder]
        # another process, so that its peak memory is its own
        subprocess.run([*command, *(["--fresh"] if arguments.fresh else [])], check=True)


if __name__ == "__main__":
    main()
