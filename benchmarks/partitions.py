"""What several writers cost: processor time an object of driver and writers, and the driver's memory.

    .venv/bin/python -m benchmarks.partitions --objects 20000 220000 --partitions 1 8

Stages are null, as in ``benchmarks.pipeline_scaling``. Each run is a process of its own. The cost per object
is the slope between two sizes, so that the start of the run does not count. Processes of writers count from
when they ask for rows; each takes about two seconds of processor to start.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.figures import note
from benchmarks.pipeline_scaling import NullStages, listed
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.schemas.config import ScreenConfig

GOAL = 1.15
MEMORY_GOAL = 500
SECONDS = 0.2


class Watch(threading.Thread):
    """Samples the driver's resident memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.memory = 0
        self.over = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.over.wait(SECONDS):
            info = me.memory_info()
            self.memory = max(self.memory, info.rss - info.shared)


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
    watch = Watch()
    watch.start()
    run = ScreeningRun(job, resources, make_executor=lambda _: NullStages(config.cluster, resources, []))
    summary = run.execute()
    watch.over.set()
    assert summary.by_status["screened"] == objects, (summary.by_status, summary.reasons)
    assert summary.missing == summary.duplicates == 0
    assert len(summary.partitions) == (partitions if partitions > 1 else 0)
    wall = summary.seconds
    return {
        "driver": time.process_time(),
        "writers": sum(one["processor_seconds"] for one in summary.partitions),
        "memory": watch.memory / 2**20,
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
        f"{objects:>9} objects, {partitions} partitions: driver {found['driver']:.1f} s of processor, "
        f"writers {found['writers']:.1f} s; driver {found['memory']:.0f} MiB; screened in "
        f"{found['screen']:.1f} s of {found['total']:.1f} s; {found['parts']:.0f} parts",
        flush=True,
    )
    return found


def cpu(found: dict[str, float]) -> float:
    """Return the processor seconds of driver and writers, without the start of writers."""
    return found["driver"] + found["writers"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[20_000, 220_000])
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        (objects,), (partitions,) = arguments.objects, arguments.partitions
        print(json.dumps(measure(objects, partitions, arguments.folder)))
        return
    started = time.monotonic()
    costs = {}
    for partitions in arguments.partitions:
        runs = [(objects, measured(objects, partitions)) for objects in arguments.objects]
        for (few, short), (many, long) in itertools.pairwise(runs):
            costs[partitions] = 1e3 * (cpu(long) - cpu(short)) / (many - few)
            start = cpu(short) - 1e-3 * costs[partitions] * few
            print(
                f"{few} to {many} objects, {partitions} partitions: {costs[partitions]:.4f} ms of processor "
                f"an object, {start:.1f} s to start"
            )
            note(f"driver and {partitions} writers: processor time of an object", costs[partitions], "ms")
        note(f"driver with {partitions} writers: memory", runs[-1][1]["memory"], "MiB", at_most=MEMORY_GOAL)
    if len(costs) > 1:
        first, last = arguments.partitions[0], arguments.partitions[-1]
        ratio = costs[last] / costs[first]
        print(f"{last} partitions cost {ratio:.3f} of {first}; {time.monotonic() - started:.0f} s in all")
        note(f"processor time an object with {last} writers, of that with {first}", ratio, at_most=GOAL)


if __name__ == "__main__":
    main()
