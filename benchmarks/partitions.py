"""What several writers cost: processor time an object of driver and writers, and the driver's memory.

    .venv/bin/python -m benchmarks.partitions --objects 200000 --partitions 1 8

Stages are null, as in ``benchmarks.pipeline_scaling``. Each run is a process of its own. Its start does not
count: the driver's time is that of listing and subtracting, and from the first rows to the end; that of a
writer begins when it asks for rows. What processes take to start is told beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from benchmarks.figures import note
from benchmarks.pipeline_scaling import NullStages, listed
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.executor import DecodeStep, LostGroup
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ScreenConfig
from tests.support.null_stages import MemoryWatch

GOAL = 1.15
MEMORY_GOAL = 500
SECONDS = 0.2


class Marked(NullStages):
    """Null stages that note when the first rows come."""

    first = 0.0

    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        for table in super().run_pass(decode, detect, number, lost):
            self.first = self.first or time.process_time()
            yield table


def measure(objects: int, partitions: int, folder: Path) -> dict[str, float]:
    """Make one run in this process; return its figures."""
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "one").touch()
    config = ScreenConfig(
        source=str(source), output=str(folder / "out"), private_dir=str(folder / "private"), profile="none",
        partitions=partitions,
    )  # fmt: skip
    job = replace(prepare(config), objects=lambda *_: listed(objects))
    resources = plan_resources(config.cluster, "cpu")
    executor, marks = Marked(config.cluster, resources, []), [time.process_time()]

    def listed_all(_: Todo) -> Marked:
        marks.append(time.process_time())
        return executor

    # what workers need would be looked at by the driver, whose time is measured
    with MemoryWatch(SECONDS, workers=False) as watch:
        summary = ScreeningRun(job, resources, make_executor=listed_all).execute()
    begun, ready, end = *marks, time.process_time()
    assert summary.by_status["screened"] == objects, (summary.by_status, summary.reasons)
    assert summary.missing == summary.duplicates == 0
    assert len(summary.partitions) == (partitions if partitions > 1 else 0)
    wall = summary.seconds
    return {
        "driver": (ready - begun) + (end - executor.first),
        "start": executor.first - ready,
        "writers": sum(one["processor_seconds"] for one in summary.partitions),
        "memory": watch.driver / 2**20,
        "screen": wall["screen"], "total": wall["total"],
        "parts": len(list((folder / "out/objects").iterdir())),
    }  # fmt: skip


def measured(objects: int, partitions: int) -> dict[str, float]:
    """Make one run in another process."""
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
        command = [sys.executable, "-m", "benchmarks.partitions", "--folder", folder]
        command += ["--objects", str(objects), "--partitions", str(partitions)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{objects:>9} objects, {partitions} partitions: driver {found['driver']:.1f} s of processor "
        f"({found['start']:.1f} s to start), "
        f"writers {found['writers']:.1f} s; driver {found['memory']:.0f} MiB; screened in "
        f"{found['screen']:.1f} s of {found['total']:.1f} s; {found['parts']:.0f} parts",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200_000)
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    objects = arguments.objects
    if arguments.folder:
        print(json.dumps(measure(objects, arguments.partitions[0], arguments.folder)))
        return
    costs = []
    for partitions in arguments.partitions:
        found = measured(objects, partitions)
        costs.append(1e3 * (found["driver"] + found["writers"]) / objects)
        print(f"{partitions} partitions: {costs[-1]:.4f} ms of processor an object", flush=True)
        note(f"driver and {partitions} writers: processor time of an object", costs[-1], "ms")
        note(f"driver with {partitions} writers: memory", found["memory"], "MiB", at_most=MEMORY_GOAL)
    first, last = arguments.partitions[0], arguments.partitions[-1]
    if len(costs) > 1:
        print(f"{last} partitions cost {costs[-1] / costs[0]:.3f} of {first}")
        claim = f"processor time an object with {last} writers, of that with {first}"
        note(claim, costs[-1] / costs[0], at_most=GOAL)


if __name__ == "__main__":
    main()
