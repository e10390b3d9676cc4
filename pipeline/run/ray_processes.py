"""The processes of a Ray that was started here. None may outlive it: it would write into what is wiped."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
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
    processes = _and_below(process for process in psutil.Process().children() if _is_told_of(process, folder))
    try:
        yield
    finally:
        _end(processes)


def end_orphans(folder: Path) -> None:
    """End this account's processes of a session whose run was killed: they hold memory, and go on writing."""
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    _end(_and_below(process for process in others if _is_own_of(process, folder)))


def _is_own_of(process: psutil.Process, folder: Path) -> bool:
    """Tell those of this account. Ray's workers name themselves, and may have lost what started them."""
    with contextlib.suppress(psutil.Error):
        if process.uids().real == os.getuid():
            if _is_told_of(process, folder):  # can always be read, the environment not
                return True
            return process.environ().get("TMPDIR", "").startswith(f"{folder}/")
    return False


def _is_told_of(process: psutil.Process, folder: Path) -> bool:
    """Tell Ray's own processes from those that look at its files: of these, the folder is no option."""
    with contextlib.suppress(psutil.Error):
        return any(word.startswith("-") and f"{folder}/" in word for word in process.cmdline())
    return False


def _and_below(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    found = []
    for process in processes:
        found.append(process)
        with contextlib.suppress(psutil.Error):
            found += process.children(recursive=True)
    return found


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + END_SECONDS
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _runs(process: psutil.Process) -> bool:
    """Tell whether it may still write. Where process 1 of a container reaps none, the dead stay zombies."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
