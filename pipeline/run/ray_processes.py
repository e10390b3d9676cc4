"""The processes of a Ray that was started here. None may outlive it: it would write into what is wiped."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

END_SECONDS = 10.0
"""So long the operating system may take to end what was killed."""
POLL_SECONDS = 0.02


@contextlib.contextmanager
def none_left(folder: Path) -> Iterator[None]:
    """Shut down, in this block, the Ray whose session lies in a folder; then end what is left of it.

    Ray does not wait for its workers, and a busy one goes on for seconds.
    """
    processes = _processes(folder)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        deadline = time.monotonic() + END_SECONDS
        while any(_runs(process) for process in processes) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def _processes(folder: Path) -> list[psutil.Process]:
    """Return the children of this process that name the folder, and all processes below them."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in word for word in child.cmdline()):
                found += [child, *child.children(recursive=True)]
    return found


def _runs(process: psutil.Process) -> bool:
    """Tell whether it may still write. Where process 1 of a container reaps none, the dead stay zombies."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
