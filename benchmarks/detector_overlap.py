"""What a second batch in hand gains an actor on a GPU: python -m benchmarks.detector_overlap [--device cuda]

The detect stage as Ray's actors run it, from pictures in the host's memory to scores and masks: ViT-L/14@336
shapes with random weights in bf16, 518 x 518 px. Tables are given by one thread and by two, in turns, in one
run; ratios are of wall-clock time, medians. On a CPU actors take one batch after the other.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from benchmarks.detector_speed import SIDE, make_bundle
from s2sw.model import load_detector
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.detecting import DetectStage
from s2sw.pipeline.stages.wire import decoded_table

TABLES = 8


def table(pictures: int) -> pa.Table:
    """Pictures of noise, a slice each."""
    random = np.random.default_rng(0)
    place = {"plane": "image", "rows": SIDE, "cols": SIDE, "tiles": []}
    codes = {"modality": "", "body_part": "", "applied": ""}
    return decoded_table(
        [
            {"object": number, "slice_index": 0, "pixels": pixels[None], **place, **codes}
            for number, pixels in enumerate(random.integers(0, 255, (pictures, SIDE, SIDE, 3), np.uint8))
        ]
    )


def rate(stage: DetectStage, tables: list[pa.Table], pool: ThreadPoolExecutor) -> float:
    """Return pictures a second."""
    started = time.perf_counter()
    rows = sum(len(out) for out in pool.map(stage, tables))
    return rows / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    precision = "bf16" if args.device == "cuda" else "fp32"
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder))
        load = partial(load_detector, bundle, device=args.device, precision=precision)
        stage = DetectStage(DetectSettings(load=load, threshold=0.5, batch_size=args.batch))
        tables = [table(args.batch)] * TABLES
        # threads live as long as an actor's do, and each has worked before the clock starts
        one, two = (ThreadPoolExecutor(n, initializer=stage, initargs=(tables[0],)) for n in (1, 2))
        with one, two:
            rounds = [[rate(stage, tables, pool) for pool in (one, two)] for _ in range(1 + args.rounds)]
    rates = np.array(rounds[1:])
    ratios = rates[:, 1] / rates[:, 0]
    alone, together = np.median(rates, axis=0)
    print(
        f"torch {torch.__version__}, {args.device}, batches of {args.batch}: one in hand "
        f"{alone:.1f} pictures/s, two {together:.1f}, "
        f"{np.median(ratios):.2f} x ({min(ratios):.2f}..{max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
