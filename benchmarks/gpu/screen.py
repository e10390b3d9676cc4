"""Stage 6: a whole `s2sw screen` with Ray over generated JPEG files: python -m benchmarks.gpu.screen

Writes screen.json to $OUT: images/s, the share of the time that the GPU was busy, and whether the objects
that were screened are the files. Needs what ``carry --screen`` packs; benchmarks/gpu/screen.sh unpacks it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.detector_speed import make_bundle
from benchmarks.gpu.bundles import TINY, TINY_SIDE
from benchmarks.gpu.jpeg import encoded
from benchmarks.gpu.options import Options, Results

SIDE = 1024


class Busy:
    """Asks the driver every half a second how busy the GPU is, per cent."""

    def __init__(self, device: str) -> None:
        self.samples: list[float] = []
        self._device, self._stop = device, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Busy":
        if self._device == "cuda":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.ident:
            self._thread.join()

    def _watch(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._stop.wait(0.5):
            self.samples.append(
                float(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
            )


def archive(folder: Path, count: int, side: int) -> Path:
    """Fill a folder with files of the same picture; a comment makes each one's bytes its own."""
    data = encoded(side)
    folder.mkdir()
    for number in range(count):
        comment = f"{number:08}".encode()
        marked = data[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + data[2:]
        (folder / f"{number:06}.jpg").write_bytes(marked)
    return folder


def screened(source: Path, bundle: str, device: str, scratch: Path) -> dict[str, Any]:
    """Screen a folder in a process of its own; return seconds, the GPU's busy share and set identity."""
    output = scratch / f"results-{source.name}"
    command = [
        sys.executable,
        "-m",
        "s2sw",
        "screen",
        str(source),
        "--output",
        str(output),
        "--bundle",
        bundle,
    ]
    command += ["--open", "--private-dir", str(scratch / "private")]
    started = time.perf_counter()
    with Busy(device) as busy:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"s2sw screen ended with {done.returncode}: {done.stderr[-2000:]}")
    parts = [pq.read_table(part, columns=["uri", "status"]) for part in output.glob("objects/*.parquet")]
    rows = [row for part in parts for row in part.to_pylist()]
    screened_files = sorted(Path(row["uri"]).name for row in rows if row["status"] == "screened")
    working = [sample for sample in busy.samples if sample]
    return {
        "seconds": seconds,
        "busy_percent": statistics.mean(busy.samples) if busy.samples else None,
        "busy_percent_while_working": statistics.mean(working) if working else None,
        "objects": len(rows),
        "same_set": screened_files == sorted(path.name for path in source.iterdir()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--quick", action="store_true", help="tiny weights, few files: a rehearsal")
    args = parser.parse_args()
    out = Path(os.environ["OUT"])
    out.mkdir(parents=True, exist_ok=True)
    few, many = (4, 16) if args.quick else (200, 2200)
    with tempfile.TemporaryDirectory(prefix="s2sw-gpu-") as folder:
        scratch = Path(folder)
        results = Results(Options(args.device, args.quick, out, scratch, scratch), "screen")
        bundle = str(make_bundle(scratch, TINY, TINY_SIDE) if args.quick else make_bundle(scratch))
        found = {}
        for count in (few, many):
            source = archive(scratch / str(count), count, 64 if args.quick else SIDE)
            results[str(count)] = found[count] = screened(source, bundle, args.device, scratch)
        # the fixed cost of a run is not in the difference
        results["images_per_s"] = (many - few) / (found[many]["seconds"] - found[few]["seconds"])


if __name__ == "__main__":
    main()
