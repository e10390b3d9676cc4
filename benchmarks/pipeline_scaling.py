"""Cost per object and memory against the number of objects, with stages that do nothing.

    .venv/bin/python -m benchmarks.pipeline_scaling --objects 1000 10000 100000 1000000
    .venv/bin/python -m benchmarks.pipeline_scaling --objects 10 --slices 20000

Listing, subtraction, Ray Data, collecting and writing are the real ones; decode and detect are null. The cost
per object is the slope between two sizes; the fixed cost is what is left.
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.run.executor import DecodeStep, LostGroup
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.ray_executor import RayExecutor
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.run_record import RunSummary
from tests.support.null_stages import MemoryWatch, NullDecode, load_null


def listed(count: int) -> Iterator[StoredObject]:
    """Yield objects that exist in the listing only."""
    return (StoredObject(f"s3://null/{i:012}", 1, f"{i:x}", float(i)) for i in range(count))


class NullStages(RayExecutor):
    """Ray with stages that do nothing."""

    slices = 1

    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        null = DetectSettings(load=load_null, threshold=0.5, batch_size=64)
        return super().run_pass(NullDecode(decode.todo, self.slices), null, number, lost)


def measure(objects: int, slices: int, folder: Path) -> RunSummary:
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "one").touch()
    config = ScreenConfig(
        source=str(source), output=str(folder / "out"), private_dir=str(folder / "private"), profile="none"
    )
    job = replace(prepare(config), objects=lambda *_: listed(objects))
    resources = plan_resources(config.cluster, "cpu")
    executor = NullStages(config.cluster, resources, [])
    executor.slices = slices
    run = ScreeningRun(job, resources, make_executor=lambda _: executor)
    with MemoryWatch() as watch:
        summary = run.execute()
    assert summary.by_status["screened"] == objects, (summary.by_status, summary.reasons)
    assert summary.missing == summary.duplicates == 0
    seconds = summary.seconds
    print(
        f"{objects:>9} objects x {slices} slices: list {seconds['list']:.1f} s, "
        f"subtract {seconds['subtract']:.1f} s, screen {seconds['screen']:.1f} s, "
        f"in all {seconds['total']:.1f} s; {watch}",
        flush=True,
    )
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--slices", type=int, default=1)
    arguments = parser.parse_args()
    found = []
    for objects in arguments.objects:
        with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
            found.append((objects, measure(objects, arguments.slices, Path(folder)).seconds["total"]))
    for (few, short), (many, long) in itertools.pairwise(found):
        print(f"{few} to {many} objects: {1e3 * (long - short) / (many - few):.3f} ms an object")


if __name__ == "__main__":
    main()
