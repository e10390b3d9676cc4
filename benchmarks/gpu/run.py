"""Runs the stages, each in a process and a time of its own: benchmarks/gpu/run.sh calls it.

The stages are forked from one process that has imported the libraries, which takes longer than some stages.
The large bundle is made meanwhile in a process beside them.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

from benchmarks.gpu import detect_stage, embedded, jpeg, parity, speed
from benchmarks.gpu.bundles import make_large
from benchmarks.gpu.options import Options

SECONDS = 560
"""All stages together; with what run.sh does before, a run stays under ten minutes."""
REHEARSAL = 4
"""How many times longer a stage may take in a rehearsal, which shares its machine with other work."""
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Stage:
    """seconds: after which it is ended. large: whether it needs the large bundle."""

    name: str
    run: Callable[[Options], None]
    seconds: int
    large: bool = True


STAGES = (
    Stage("parity", parity.run, 90, large=False),
    Stage("speed", speed.run, 240),
    Stage("detect_stage", detect_stage.run, 90),
    Stage("jpeg", jpeg.run, 45, large=False),
    Stage("embedded", embedded.run, 75),
)
"""In order of worth: what a run that is cut short does not reach is what is missed least."""


def begin(run: Callable[[Options], None], options: Options) -> ForkProcess:
    process = FORK.Process(target=guarded, args=(run, options))
    process.start()
    return process


def guarded(run: Callable[[Options], None], options: Options) -> None:
    """Run a stage as a process group of its own, so that what it started can be ended with it."""
    os.setsid()
    run(options)


def end(process: ForkProcess, seconds: float) -> str:
    """Wait for a process so long, then end it and all that it started; return what became of it."""
    process.join(max(0.0, seconds))
    late = process.is_alive()
    process.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return "timed out" if late else "done" if process.exitcode == 0 else f"failed ({process.exitcode})"


def run_stages(options: Options, wanted: tuple[Stage, ...]) -> bool:
    """Run the stages; return whether all of them ended well. run.json says so of each as it ends."""
    started, account = time.monotonic(), {}
    large = begin(make_large, options) if any(stage.large for stage in wanted) else None
    for stage in wanted:
        if stage.large and large:
            large.join(max(0.0, SECONDS - (time.monotonic() - started)))
        print(f"== {stage.name}", flush=True)
        begun = time.monotonic()
        allowed = stage.seconds * (REHEARSAL if options.quick else 1)
        state = end(begin(stage.run, options), min(allowed, SECONDS - (begun - started)))
        account[stage.name] = {"state": state, "seconds": round(time.monotonic() - begun, 1)}
        (options.out / "run.json").write_text(json.dumps(account, indent=1) + "\n")
        print(f"== {stage.name}: {state}, {account[stage.name]['seconds']} s", flush=True)
    if large:
        end(large, 0)
    return all(entry["state"] == "done" for entry in account.values())


def main() -> None:
    names = [stage.name for stage in STAGES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--quick", action="store_true", help="tiny weights, few rounds: a rehearsal")
    parser.add_argument("--only", default=",".join(names), help=f"stages, of {', '.join(names)}")
    parser.add_argument("--carried", type=Path, default=Path(".gpu"), help="folder made by carry")
    args = parser.parse_args()
    only = args.only.split(",")
    if unknown := set(only) - set(names):
        parser.error(f"--only: {', '.join(sorted(unknown))} is no stage; there are {', '.join(names)}")
    if not os.environ.get("OUT"):
        parser.error("OUT: set it to the folder that the figures are to be written to")
    out = Path(os.environ["OUT"])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="s2sw-gpu-") as work:
        options = Options(args.device, args.quick, out, args.carried, Path(work))
        well = run_stages(options, tuple(stage for stage in STAGES if stage.name in only))
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
