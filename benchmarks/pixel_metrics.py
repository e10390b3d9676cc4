"""Time and memory of the pixel metrics, beside the plain AUPRO over 200 thresholds in the same run.

    .venv/bin/python -m benchmarks.pixel_metrics --pictures 60
    .venv/bin/python -m benchmarks.pixel_metrics --pictures 1200 --skip-plain

Maps are upsampled noise with the anomalous regions raised, as a detector's are; every pixel metric is
computed, where the plain loop gives AUPRO alone. Memory is that of another process which adds the pictures
one by one, above its size before the first.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from s2sw.model.maps import full_map
from s2sw.model.metrics import PixelMetrics
from tests.support.plain_metrics import plain_aupro

GRID, THRESHOLDS = 37, 200
Picture = tuple[NDArray[np.float32], NDArray[np.bool_]]


def pictures(count: int, side: int) -> Iterator[Picture]:
    """Yield maps, float32 (side, side), and masks with no to four regions."""
    rows, cols = np.mgrid[:side, :side]
    for number in range(count):
        rng = np.random.default_rng(number)
        mask = np.zeros((side, side), dtype=bool)
        for _ in range(number % 5):
            y, x, radius = (side * rng.uniform([0, 0, 0.01], [1, 1, 0.08])).tolist()
            mask |= (rows - y) ** 2 + (cols - x) ** 2 < radius**2
        tokens = rng.uniform(0.2, 0.6, (GRID, GRID)).astype(np.float32)
        yield full_map(tokens, side) + np.float32(0.1) * mask, mask


def exact(count: int, side: int) -> tuple[float | None, float, float]:
    """Return AUPRO, seconds without making the pictures, and growth of the peak memory in MiB."""
    metrics = PixelMetrics()
    for scores, mask in pictures(1, side):
        metrics.add(scores, mask)
    metrics = PixelMetrics()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = 0.0
    for scores, mask in pictures(count, side):
        started = time.perf_counter()
        metrics.add(scores, mask)
        spent += time.perf_counter() - started
    started = time.perf_counter()
    found = metrics.compute()
    spent += time.perf_counter() - started
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return found.aupro, spent, growth


def plain(count: int, side: int) -> tuple[float, float]:
    """Return AUPRO over evenly spaced thresholds, and seconds."""
    maps, masks = map(list, zip(*pictures(count, side), strict=True))
    low, high = min(m.min() for m in maps), max(m.max() for m in maps)
    started = time.perf_counter()
    value = plain_aupro(maps, masks, np.linspace(high, low, THRESHOLDS, dtype=np.float32))
    return value, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--side", type=int, default=518)
    parser.add_argument("--skip-plain", action="store_true")
    given = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        value, seconds, growth = pool.apply(exact, (given.pictures, given.side))
    pixels = given.pictures * given.side**2
    print(f"{given.pictures} pictures of {given.side} px: {pixels / 1e6:.0f} million pixels")
    print(f"AUROC, AP, F1-max, AUPRO: {seconds:.2f} s, {pixels / seconds / 1e6:.1f} million pixels/s")
    print(f"peak memory: {growth:.0f} MiB more; AUPRO {value:.6f}")
    if not given.skip_plain:
        plain_value, plain_seconds = plain(given.pictures, given.side)
        print(f"plain AUPRO, {THRESHOLDS} thresholds: {plain_seconds:.2f} s, AUPRO {plain_value:.6f}")
        print(f"ratio: {plain_seconds / seconds:.1f} x")


if __name__ == "__main__":
    main()
