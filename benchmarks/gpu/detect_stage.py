"""Stage 3: the detect stage as an actor runs it, from pictures in the host's memory to scores and masks."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.detect_host import KINDS, milliseconds, table
from benchmarks.gpu.options import Options, Results
from s2sw.model import load_detector
from s2sw.model.bundles.record import read_record
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.detecting import DetectStage

BATCH, TABLES, ROUNDS = 32, 8, 3
SIZES = ((518, 518), (2048, 2048), (3000, 4000))


def run(options: Options) -> None:
    results = Results(options, "detect_stage")
    side = read_record(options.large_bundle, check_weights=False).image_size
    sizes = ((side, side), (300, 400)) if options.quick else SIZES
    for mask_threads in (1, 8):
        stage = loaded(options, mask_threads)
        for size in sizes:
            for in_hand in (1, 2):
                name = f"{size[0]}x{size[1]}.in_hand_{in_hand}.mask_threads_{mask_threads}"
                results[name] = measured(options, stage, side, size, in_hand)
    for size in sizes:
        kinds = KINDS[1:2] if options.quick else KINDS
        name = f"host_ms.{size[0]}x{size[1]}"
        results[name] = {kind: milliseconds(kind, size, rounds=1) for kind in kinds}


def loaded(options: Options, mask_threads: int) -> DetectStage:
    load = partial(load_detector, options.large_bundle, device=options.device, precision="bf16")
    batch = 2 if options.quick else BATCH
    # random weights: what they score lies near one half, so that maps are made and masks have pixels
    return DetectStage(DetectSettings(load, threshold=0.5, batch_size=batch, mask_threads=mask_threads))


def measured(
    options: Options, stage: DetectStage, side: int, size: tuple[int, int], in_hand: int
) -> dict[str, Any]:
    """Return pictures/s with so many batches in hand, and the CPU cores that the process kept busy."""
    batch, tables, rounds = (2, 2, 1) if options.quick else (BATCH, TABLES, ROUNDS)
    given = [table(batch, side, size)] * tables
    with ThreadPoolExecutor(in_hand, initializer=stage, initargs=(given[0],)) as pool:
        found = [once(stage, given, pool) for _ in range(1 + rounds)][1:]
    rates, cores = np.median(found, axis=0).tolist()
    return {"images_per_s": rates, "cores": cores, "core_ms_an_image": 1e3 * cores / rates}


def once(stage: DetectStage, given: list[pa.Table], pool: ThreadPoolExecutor) -> tuple[float, float]:
    """Return pictures/s and busy cores of one round over the tables."""
    wall, cpu = time.perf_counter(), time.process_time()
    rows = [row for out in pool.map(stage, given) for row in out.column("reason").to_pylist()]
    if any(rows):
        raise RuntimeError(f"the stage gave the reason {next(filter(None, rows))!r} for a picture")
    seconds = time.perf_counter() - wall
    return len(rows) / seconds, (time.process_time() - cpu) / seconds
