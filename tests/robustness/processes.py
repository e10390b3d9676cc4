"""Watching and killing the processes of a running ``s2sw``."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import yaml

from tests.support.commands import COMMAND

ACTOR = "ray::MapWorker"
WRITER = "ray::PartitionWork"
DECODER = "ray::MapBatches"
PAUSE = 0.1
"""Seconds between two polls: a look at all processes, or into an output, takes a tenth of that."""


def until(look: Callable[[], object], what: str, seconds: float = 600) -> None:
    """Poll until there is something; fail with ``what`` after some time."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(PAUSE)


class Screening:
    """A ``s2sw screen`` in a process of its own, in a session of its own like a command in a terminal."""

    def __init__(self, job: Path, *options: str) -> None:
        self._log = job.with_name(f"stderr-{time.monotonic_ns()}")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(COMMAND), "screen", str(job), *options], cwd=job.parent, env=os.environ,
                stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    @property
    def alive(self) -> bool:
        """Whether the command itself still runs."""
        return self.process.poll() is None

    def wait(self, seconds: float = 600) -> int:
        """Return the exit code; kills the command if it does not end by itself."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL, and collect the process."""
        self.process.kill()
        self.process.wait()

    def find(self, title: str) -> list[psutil.Process]:
        """Return those of its processes whose title starts with ``title``."""
        return titled(self.process.pid, title)


def titled(parent: int, title: str) -> list[psutil.Process]:
    """Return the processes below another one whose title starts with ``title``."""
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(parent).children(recursive=True)
        return [process for process in family if " ".join(_command(process)).startswith(title)]
    return []


@contextlib.contextmanager
def screening(job: Path, *options: str) -> Iterator[Screening]:
    """Start a run that does not outlive the test."""
    run = Screening(job, *options)
    try:
        yield run
    finally:
        if run.alive:
            run.kill()


def kill(process: psutil.Process) -> bool:
    """Send SIGKILL; tell whether the process was still there."""
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


@contextlib.contextmanager
def frozen(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop processes for as long as the block lasts."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found = (" ".join(_command(process)) for process in psutil.process_iter())
    return [line for line in found if str(folder) in line]


def job_file(folder: Path, base: Path | None = None, **values: object) -> Path:
    """Write a job file, with the values of another one where it has no others, and return its path."""
    # what runs are compared with was computed in it, too, on whatever processor
    before = yaml.safe_load(base.read_text()) if base else {"precision": "fp32"}
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(before | values))
    return path


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
