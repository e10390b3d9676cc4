"""Processor time of splitting rows and writing them with several writers, against one; without Ray.

    .venv/bin/python -m benchmarks.partition_rows --objects 20000 --partitions 8

Everything is in this process: the rows of null stages are made before, in tables of 64 as detectors give
them. Both ways collect and write them; with partitions they are also split, packed and unpacked as for Ray.
What Ray takes for calls and processes is not in it: ``benchmarks.partitions`` has that, on idle cores.
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.figures import note
from benchmarks.pipeline_scaling import listed
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.listing.partitions import JointTodo, write_partitions
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.partition_state import PartitionState, PartitionTask
from s2sw.pipeline.run.partition_work import PartitionWork
from s2sw.pipeline.run.partitions import Partitions
from s2sw.pipeline.run.passes import Passes
from s2sw.pipeline.run.progress import Tally
from s2sw.pipeline.run.ray_writer import packed
from s2sw.pipeline.run.sink import WritingSink
from s2sw.pipeline.stages.detect_actor import DetectActor
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import PartSettings
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import MANIFEST
from tests.support.null_stages import NullDecode, load_null

GOAL = 1.15
TURNS = 9
GROUP, BATCH = 256, 64
CONSTANTS = {"bundle": "b", "fingerprint": "f", "run_id": "20260701T230000-aaaaaa", "threshold": 0.5}


class Here:
    """A partition's writer in this process."""

    def __init__(self, task: PartitionTask) -> None:
        self.state = PartitionState()
        self._work = PartitionWork(task)
        self.push("start", None)

    def push(self, method: str, *arguments: Any) -> None:
        given = [packed(one) if isinstance(one, pa.Table) else one for one in arguments]
        self.state = getattr(self._work, method)(*given)

    def settle(self, most: int = 0) -> PartitionState:
        return self.state

    def discard(self) -> None:
        """The work has ended."""


def detected(todo: Todo) -> list[pa.Table]:
    """Return the rows of a list as detectors give them."""
    actor = DetectActor(DetectSettings(load=load_null, threshold=0.5, batch_size=BATCH))
    decode = NullDecode(todo)
    blocks = (block for group in range(todo.groups) for block in decode(pa.table({"id": [group]})))
    return [actor(block.slice(start, BATCH)) for block in blocks for start in range(0, len(block), BATCH)]


def seconds(rows: list[pa.RecordBatch], partitions: int) -> float:
    """Return the processor time of writing what comes of these objects."""
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as name:
        folder, tally = Path(name), Tally()
        output = LocalOutput(folder / "out")
        todo = write_partitions(folder / "todo", rows, GROUP, partitions)
        tables = detected(todo)
        with Lease(output, CONSTANTS["run_id"]) as lease:
            started = time.process_time()
            if isinstance(todo, JointTodo):
                tasks = [
                    PartitionTask(
                        number, one, output, PartSettings(), CONSTANTS, False, folder / "work", lease.name,
                        None, 3, StorageSettings(), False,
                    )
                    for number, one in enumerate(todo.lists)
                ]  # fmt: skip
                many = Partitions(tasks, Here, lambda *_: iter(tables), tally, 3)
                many.run()
                many.close()
            else:
                writer = Writer(output, PartSettings(), CONSTANTS, False, lease.check)
                sink = WritingSink(writer, tally)
                Passes(lambda *_: iter(tables), sink, lambda n: folder / f"pass-{n}", lambda: False, 3).run(
                    todo
                )
                writer.commit()
            taken = time.process_time() - started
        assert tally.objects == todo.objects
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, default=8)
    arguments = parser.parse_args()
    found = [{"object_id": f"{n:026}", **asdict(one)} for n, one in enumerate(listed(arguments.objects))]
    rows = [pa.RecordBatch.from_pylist(found, MANIFEST)]
    shares = []
    for _ in range(TURNS):
        one, many = (1e3 * seconds(rows, count) / arguments.objects for count in (1, arguments.partitions))
        shares.append(many / one)
        print(
            f"one writer {one:.4f} ms an object, {arguments.partitions} {many:.4f} ms: {shares[-1]:.3f} times"
        )
    claim = (
        f"processor time of splitting and writing rows with {arguments.partitions} writers, of that with one"
    )
    note(claim, sorted(shares)[TURNS // 2], at_most=GOAL)


if __name__ == "__main__":
    main()
