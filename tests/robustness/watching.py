"""Looking over the shoulder of a run: what its files, processes and their environments hold at any moment."""

import contextlib
import io
import stat
import threading
from pathlib import Path
from types import TracebackType

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from tests.robustness.canaries import search

OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
BIGGEST = 64 << 20
"""Bytes of a file that are searched."""


class Watcher:
    """A thread that searches everything below some folders, again whenever it changes, and process titles.

    secrets: texts that must be nowhere, in addition to the words; environments of the run's children are
    searched for these too. findings: what was found, and where. seen: names of the files searched. exposed:
    files and folders with rights for others, apart from folders below the session's own: that one nobody else
    can enter, and those below it are opened again and again by Ray's processes.
    """

    def __init__(self, pid: int, folders: list[Path], secrets: tuple[str, ...]) -> None:
        self.findings: set[str] = set()
        self.seen: set[str] = set()
        self.exposed: set[str] = set()
        self.titles: set[str] = set()
        self._pid, self._folders, self._secrets = pid, folders, secrets
        self._versions: dict[Path, tuple[int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Search once."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self._pid).children(recursive=True):
                self._process(process)
        for folder in self._folders:
            for path in folder.rglob("*"):
                with contextlib.suppress(OSError):  # it went away
                    self._file(path, folder)

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.look()

    def _file(self, path: Path, folder: Path) -> None:
        status = path.lstat()
        closed = stat.S_ISDIR(status.st_mode) and path.relative_to(folder).parts[1:2] == ("ray",)
        if status.st_mode & OPEN_TO_OTHERS and not stat.S_ISLNK(status.st_mode) and not closed:
            self.exposed.add(f"{stat.filemode(status.st_mode)} {path}")
        version = (status.st_size, status.st_mtime_ns)
        if self._versions.get(path) == version:
            return
        self._versions[path] = version
        self._note(str(path), str(path).encode())
        if stat.S_ISREG(status.st_mode):
            self.seen.add(path.name)
            self._note(str(path), contents(path))

    def _process(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            title = " ".join((process.name(), *process.cmdline()))
            self.titles.add(title.split()[0])
            self._note(f"title of {title[:60]}", title.encode())
            if process.cmdline() == psutil.Process(self._pid).cmdline():
                return  # a fork of the command that has not become another program yet
            environment = repr(process.environ()).encode()
            self.findings |= {f"{s[:6]}... in the environment of {title[:60]}" for s in self._secrets
                              if s.encode() in environment}  # fmt: skip

    def _note(self, where: str, data: bytes) -> None:
        self.findings |= {f"{text} in {where}" for text in search(data, self._secrets)}


def kill_one(pid: int, title: str) -> bool:
    """Kill one of a run's processes by its title; tell whether there was one."""
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            if " ".join(process.cmdline()).startswith(title):
                process.kill()
                return True
    return False


def contents(path: Path) -> bytes:
    """Return a file's bytes; of a Parquet file all values and names unpacked, too."""
    with path.open("rb") as file:
        data = file.read(BIGGEST)
    if path.suffix == ".parquet":
        with contextlib.suppress(pa.ArrowInvalid):  # still being written
            table = pq.read_table(io.BytesIO(data))
            data += repr((table.schema.metadata, table.to_pylist())).encode()
    return data
