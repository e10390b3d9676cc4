"""The reading library over a million generated slices: seconds (CPU and wall) and memory a step.

    python -m benchmarks.reading [--rows 1000000] [--results DIR]

Slices are those of ``benchmarks.review_million``, token maps of 37 x 37 and masks included, about 3 GB in a
temporary folder, or in --results, where they are kept and used again. Files are in the system's cache.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.review_million import generate
from s2sw.pipeline.results.reading import open_results

TOP = "FROM slices {} ORDER BY image_score DESC LIMIT 50"


def step(name: str, work: Callable[[], object]) -> None:
    """Do one thing and print what it took."""
    wall, cpu = time.monotonic(), time.process_time()
    work()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    print(f"{name:<44} {cpu:6.2f} s CPU {wall:6.2f} s  {psutil.Process().memory_info().rss >> 20:5} MB")


def measure(folder: Path) -> None:
    """Go through the steps, in one process."""
    results = open_results(str(folder))
    step("connect", results.connect)
    connection = results.connect()
    step("top 50, all columns", lambda: connection.sql(TOP.format("")).fetchall())
    chosen = TOP.format("WHERE site = 'north' AND modality = 'CT'")
    step("top 50 of a site and modality", lambda: connection.sql(chosen).fetchall())
    step("slices a site", lambda: connection.sql("SELECT site, count(*) FROM slices GROUP BY 1").fetchall())
    step("dataset: all image scores", lambda: results.dataset().to_table(columns=["image_score"]))
    step("pandas: objects", lambda: results.pandas("objects", ["object_id", "status", "max_score"]))


def main() -> None:
    """Generate what is not there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.results or Path(temporary) / "results"
        if not folder.exists():
            generate(folder, arguments.rows)
        measure(folder)


if __name__ == "__main__":
    main()
