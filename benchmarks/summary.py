"""All short benchmarks, one after another, as one table: claim, figure, bar, ratio.

    python -m benchmarks.summary [--only NAME ...] [--keep]

Takes five to ten minutes on two quiet cores. A ratio of 1 or more means that the bar is reached. --keep
writes the figures to benchmarks/measured/KIND.json, KIND being the processor's, and the table of all kinds
into docs/performance.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import FILE, Figure, noted
from benchmarks.machine import described, kind
from benchmarks.performance_page import MEASURED, ROOT, Measured, refresh, table


@dataclass(frozen=True)
class Short:
    """A benchmark in its short form."""

    name: str
    options: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a reader types."""
        return " ".join(("python -m", f"benchmarks.{self.name}", *self.options))


SHORT = (
    Short("small_run", ("--rounds", "2")),
    Short("detector_speed", ("--quick",)),
    Short("detector_wavelet"),
    Short("detector_precision"),
    Short("decode_speed", ("--rounds", "3")),
    Short("decode_bombs"),
    Short("pipeline_efficiency", ("--null", "--sides", "1024", "--few", "50", "--many", "250")),
    Short("profile_cost", ("--rounds", "3", "--pictures", "6")),
    Short("idsets", ("--objects", "1000000")),
)


def run(short: Short) -> list[Figure]:
    """Run one in a process of its own; one that fails is told and gives nothing."""
    print(f"== {short.command}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
        place = Path(folder) / "figures"
        command = [sys.executable, "-m", f"benchmarks.{short.name}", *short.options]
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {FILE: str(place)}, stdout=sys.stderr, check=False
        )
        ended = f"failed ({done.returncode})" if done.returncode else "done"
        print(f"{ended} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        return noted(place)


def measure(shorts: tuple[Short, ...]) -> Measured:
    """Run them all, and say where and when that was."""
    load = os.getloadavg()[0]
    found = [(figure, short.command) for short in shorts for figure in run(short)]
    when = datetime.now(UTC).date().isoformat()
    return Measured(kind(), described(), version("torch"), version("s2sw"), when, round(load, 1), found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [short.name for short in SHORT]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--keep", action="store_true", help="write the figures and the page")
    options = parser.parse_args()
    if options.keep and options.only:
        parser.error("--keep needs all of them: leave out --only")
    measured = measure(tuple(short for short in SHORT if short.name in (options.only or names)))
    print(table(measured))
    if options.keep:
        MEASURED.mkdir(exist_ok=True)
        path = MEASURED / f"{measured.kind}.json"
        path.write_text(json.dumps(asdict(measured), indent=1) + "\n")
        refresh()


if __name__ == "__main__":
    main()
