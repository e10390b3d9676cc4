"""What the pipeline adds to its parts, as ratios within one run.

    .venv/bin/python -m benchmarks.pipeline_efficiency

1. With the embedded detector: images/s from files to Parquet against the bare detector over the same images,
   decoded beforehand. 2. With a detector that does nothing: against a plain thread pool that reads, decodes
   and resizes the same files on the same cores; for pictures of several sizes, since what a picture costs
   beside its decoding does not depend on its size.

A rate is the number of further images over the further time of a larger run, so that the fixed cost of
starting Ray is not in it; the fixed cost is printed by itself. The parts are measured before and after.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import elpv_dataset
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import note
from s2sw.connectors.decode import decode
from s2sw.pipeline.imaging.tiles import views
from s2sw.pipeline.run.executor import DecodeStep, LostGroup
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.ray_executor import RayExecutor
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.decoding import DecodeSettings

if TYPE_CHECKING:  # it imports torch
    from s2sw.model.detectors.contract import Detector

BATCH = 32
DIFFERENT = 100
GOALS = {512: 0.9, 1024: 0.9, 2048: 0.85}
"""Sides of pictures, and what share of a thread pool's rate is aimed at."""
SIDES = tuple(GOALS)
FACTOR = 5  # how many times more of the smallest pictures are taken where no detector holds them up
SUFFIXES = ("png", "jpg")
CORES = os.cpu_count() or 1


class NullDetect(RayExecutor):
    """Ray with a detector that takes pictures of the same size and does nothing with them."""

    grid = 0

    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        assert isinstance(decode, DecodeStage)
        load = partial(_null, decode.side, self.grid)
        null = DetectSettings(load=load, threshold=0.5, batch_size=BATCH)
        return super().run_pass(decode, null, number, lost)


def _null(side: int, grid: int) -> "Detector":
    from tests.support.null_detector import NullDetector

    return cast("Detector", NullDetector(side, grid))


def archive(folder: Path, count: int, side: int) -> Path:
    """Fill a folder with solar cells at side x side px with sensor noise, half of them PNG, half JPEG."""
    cells = sorted((Path(elpv_dataset.__file__).parent / "data" / "images").glob("*.png"))
    folder.mkdir()
    random = np.random.default_rng(1)
    for number in range(DIFFERENT):
        with Image.open(cells[number]) as cell:
            smooth = np.asarray(cell.convert("L").resize((side, side)), np.float32)
        noisy = Image.fromarray(np.clip(smooth + random.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8))
        noisy.save(folder / f"{number:06}.{SUFFIXES[number % 2]}")
    for number in range(DIFFERENT, count):
        suffix = SUFFIXES[number % 2]
        shutil.copyfile(folder / f"{number % DIFFERENT:06}.{suffix}", folder / f"{number:06}.{suffix}")
    return folder


def picture(path: Path, side: int) -> NDArray[np.uint8]:
    _, slices = decode(path.read_bytes(), DecodeSettings())
    return next(views(next(slices).pixels, side, []))


def screen_seconds(kind: type[RayExecutor], folder: Path, count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as scratch:
        config = ScreenConfig(
            profile="none",
            source=str(folder),
            output=f"{scratch}/out",
            private_dir=f"{scratch}/private",
            limit=count,
        )
        started = time.monotonic()
        job, resources = prepare(config), plan_resources(config.cluster, "cpu")
        executor = kind(config.cluster, resources, [])
        if isinstance(executor, NullDetect):
            executor.grid = job.record.grid
        summary = ScreeningRun(job, resources, make_executor=lambda _: executor).execute()
        assert summary.by_status["screened"] == count
        return time.monotonic() - started


def pipeline_rate(kind: type[RayExecutor], folder: Path, few: int, many: int) -> tuple[float, float]:
    """Return images/s beyond the first few, and the fixed cost in seconds."""
    short, long = screen_seconds(kind, folder, few), screen_seconds(kind, folder, many)
    rate = (many - few) / (long - short)
    return rate, short - few / rate


def detector_rate(folder: Path, count: int) -> float:
    import torch  # here: the null detector's driver has no use for it, nor has a run's

    from s2sw.model import load_detector

    torch.set_num_threads(CORES)
    job = prepare(ScreenConfig(source=str(folder), output="unused"))
    detector = load_detector(job.bundle)
    images = np.stack([picture(path, detector.image_size) for path in sorted(folder.iterdir())[:count]])
    detector.detect(images[:BATCH])
    started = time.monotonic()
    for first in range(0, count, BATCH):
        detector.detect(images[first : first + BATCH])
    return count / (time.monotonic() - started)


def decode_rate(folder: Path, count: int, side: int) -> float:
    paths = sorted(folder.iterdir())[:count]
    started = time.monotonic()
    with ThreadPoolExecutor(CORES) as pool:
        for _ in pool.map(partial(picture, side=side), paths):
            pass
    return count / (time.monotonic() - started)


def null_detector(side: int, few: int, many: int) -> None:
    """Print how fast pictures of one size pass through the pipeline, against a thread pool."""
    factor = max(1, FACTOR * SIDES[0] // side)
    few, many = factor * few, factor * many
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as scratch:
        folder = archive(Path(scratch) / "archive", many, side)
        size = prepare(ScreenConfig(source=str(folder), output="unused")).record.image_size
        before = decode_rate(folder, few, size)
        rate, _ = pipeline_rate(NullDetect, folder, few, many)
        pool = (before + decode_rate(folder, few, size)) / 2
    note(f"a null detector's pipeline against a thread pool, {side} px", rate / pool, at_least=GOALS[side])
    print(
        f"{side} x {side} px: thread pool {pool:.1f} images/s, pipeline with a null detector {rate:.1f} "
        f"images/s: {rate / pool:.2f} x",
        flush=True,
    )


def embedded_detector(few: int, many: int) -> None:
    """Print how fast pictures pass through the pipeline, against the detector alone."""
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as scratch:
        folder = archive(Path(scratch) / "archive", many, SIDES[0])
        before = detector_rate(folder, few)
        rate, fixed = pipeline_rate(RayExecutor, folder, few, many)
        bare = (before + detector_rate(folder, few)) / 2
    note("the pipeline against the embedded detector alone", rate / bare)
    print(f"detector alone {bare:.1f} images/s, pipeline {rate:.1f} images/s: {rate / bare:.2f} x")
    print(f"fixed cost of a run: {fixed:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--null", action="store_true", help="only with the detector that does nothing")
    parser.add_argument("--sides", type=int, nargs="+", choices=SIDES, default=SIDES, help="of its pictures")
    arguments = parser.parse_args()
    few, many = arguments.few, arguments.many
    if not arguments.null:
        embedded_detector(few, many)
    for side in arguments.sides:
        null_detector(side, few, many)


if __name__ == "__main__":
    main()
