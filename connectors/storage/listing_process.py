"""A process that lists prefixes of a bucket: reading answers keeps a core busy, and a large bucket has many.

The parent sends the lister, then a prefix for each ASK of the process, and None where no prefix is left. The
process sends pages, and what it fails with. It ends when the parent does: nobody is at the other end then.
"""

import gc
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from s2sw.connectors.storage.s3_pages import Entry, Lister
from s2sw.schemas.outcomes import Reason, ScreeningError

ASK = "a prefix, please"
MOST_PROCESSES = 4
ALLOCATIONS = 100_000
"""Objects after which Python looks for circles of garbage; a page has 6,000 that hold none."""


def processes(listers: int) -> list[int]:
    """Return how many prefixes each process lists at once: one for each core, four at most."""
    count = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, listers)
    return [listers // count + (place < listers % count) for place in range(count)]


class ListingProcess:
    """Lists several prefixes at once in a process of its own."""

    def __init__(self, lister: Lister, listers: int) -> None:
        self._listers = listers
        self._line, theirs = Pipe()
        with theirs:
            # -P: no folder of the user's is looked in for modules
            command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), str(listers)]
            self._process = subprocess.Popen(  # noqa: S603 (this very module)
                command,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )  # fmt: skip
        self._lister = lister

    def pages(self, next_prefix: Callable[[], str | None]) -> Iterator[list[Entry]]:
        """Yield the pages of all prefixes that ``next_prefix`` gives. Raises ScreeningError."""
        try:
            self._line.send(self._lister)
            working = self._listers
            while working:
                said = self._line.recv()
                if isinstance(said, Exception):
                    raise said
                if said != ASK:
                    yield said
                    continue
                prefix = next_prefix()
                working -= prefix is None
                self._line.send(prefix)
        except (EOFError, OSError):
            code = self._process.wait()
            raise ScreeningError(
                Reason.IO_ERROR, f"a process that lists the bucket ended with exit code {code}"
            ) from None

    def kill(self) -> None:
        """End the process, whatever it does; who waits for a page is told."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the line to the process, which nobody uses any more."""
        self._line.close()


class _Worker:
    """The process itself: threads that list, and the line to the parent that they share."""

    def __init__(self, line: Connection) -> None:
        self._line, self._lock = line, threading.Lock()
        self._prefixes: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def serve(self, listers: int) -> None:
        """List what the parent names until it is gone."""
        lister = self._line.recv()
        for _ in range(listers):
            threading.Thread(target=self._work, args=(lister,), daemon=True).start()
        while True:
            self._prefixes.put(self._line.recv())

    def _work(self, lister: Lister) -> None:
        try:
            while (prefix := self._next()) is not None:
                for page in lister.pages(prefix):
                    self._send(page)
        except Exception as error:  # noqa: BLE001 - raised in the parent
            self._send(error if isinstance(error, ScreeningError) else _unforeseen(error))

    def _next(self) -> str | None:
        self._send(ASK)
        return self._prefixes.get()

    def _send(self, said: list[Entry] | Exception | str) -> None:
        try:
            with self._lock:
                self._line.send(said)
        except OSError:
            os._exit(0)  # nobody listens any more


def _unforeseen(error: Exception) -> ScreeningError:
    return ScreeningError(Reason.IO_ERROR, f"{type(error).__name__} while the bucket was listed")


def main() -> None:
    """Serve the parent until it is gone. Signals to the whole group are the parent's to answer."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(ALLOCATIONS)
    file, listers = map(int, sys.argv[1:])
    try:
        _Worker(Connection(file)).serve(listers)
    except EOFError:
        os._exit(0)


if __name__ == "__main__":
    main()
