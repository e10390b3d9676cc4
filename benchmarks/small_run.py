"""How long a small run takes from the command line: python -m benchmarks.small_run [--rounds 5]

``s2sw screen`` over 16 pictures of 512 x 512 with the embedded detector and no profile, each time into a new
folder, from the start of the command to its end; on one machine without Ray, as such a run is by default, and
with Ray. CPU seconds are those of the command and of what it starts and waits for.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.figures import note

COUNT, SIDE = 16, 512
GOAL = 6.0  # seconds on a fast processor
WAYS = {"without Ray": 10**6, "with Ray": 1}


def fill(folder: Path) -> None:
    """Write smooth pictures, each different."""
    folder.mkdir()
    dice = np.random.default_rng(0)
    for number in range(COUNT):
        coarse = Image.fromarray(dice.integers(0, 256, (8, 8), dtype=np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:02}.png")


def seconds(source: Path, scratch: Path, ray_from: int) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of one run."""
    job = scratch / "job.yaml"
    values = {
        "source": str(source), "output": str(scratch / "out"), "private_dir": str(scratch / "private"),
        "profile": "none", "cluster": {"ray_from": ray_from},
    }  # fmt: skip
    job.write_text(yaml.safe_dump(values))
    command = [str(Path(sys.executable).with_name("s2sw")), "screen", str(job)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    # what Python compiles is kept, as after an installation
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    spent, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
        source = Path(folder) / "archive"
        fill(source)
        for way, ray_from in WAYS.items():
            found = []
            for number in range(rounds + 1):
                scratch = Path(folder) / f"{way}-{number}"
                scratch.mkdir()
                found.append(seconds(source, scratch, ray_from))
            found = found[1:]  # the first one compiles what was changed
            wall, cpu = (statistics.median(column) for column in zip(*found, strict=True))
            print(f"{COUNT} pictures {way}: {wall:.1f} s, {cpu:.1f} CPU seconds", flush=True)
            goal = GOAL if ray_from > COUNT else None
            note(f"a run over {COUNT} pictures, {way}", wall, "s", at_most=goal)


if __name__ == "__main__":
    main()
