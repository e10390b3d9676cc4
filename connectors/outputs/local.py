"""Results in a folder of a file system."""

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from typing_extensions import override

from s2sw.connectors.outputs.folder import PARQUET_MAGIC, TEMPORARY, OutputFolder, columns_of
from s2sw.schemas.outcomes import Reason, ScreeningError


class LocalOutput(OutputFolder):
    """A folder of a file system: temporary name, fsync, rename."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._root = root

    @override
    def check_writable(self) -> None:
        """Ask the nearest existing parent, so that nothing is made yet."""
        nearest = next(p for p in (self._root, *self._root.absolute().parents) if p.exists())
        if not nearest.is_dir():
            raise ScreeningError(Reason.IO_ERROR, f"{nearest} is a file, not a folder")
        try:
            with tempfile.TemporaryFile(dir=nearest):
                pass
        except OSError as error:
            raise ScreeningError(Reason.DENIED, f"{nearest}: {error.strerror}") from error

    @override
    def write(self, name: str, data: bytes) -> None:
        path = self._root / name
        with _temporary(path, data) as temporary:
            temporary.replace(path)
        _sync_folder(path.parent)

    @override
    def create(self, name: str, data: bytes) -> bool:
        path = self._root / name
        with _temporary(path, data) as temporary:
            try:
                os.link(temporary, path)  # unlike a rename, refuses to replace
            except FileExistsError:
                return False
        _sync_folder(path.parent)
        return True

    @override
    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    @override
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        with (self._root / name).open("rb") as file:
            return columns_of(file, columns)

    @override
    def sizes(self, folder: str) -> dict[str, int]:
        base = self._root / folder
        if not base.is_dir():
            return {}
        files = (path for path in base.rglob("*") if path.is_file() and not path.name.startswith("."))
        return dict(sorted((path.relative_to(self._root).as_posix(), path.stat().st_size) for path in files))

    @override
    def is_whole_parquet(self, name: str, size: int) -> bool:
        """Look at both ends: a full disk or a power cut may leave a file of the right name and size."""
        if not super().is_whole_parquet(name, size):
            return False
        with (self._root / name).open("rb") as file:
            start = file.read(len(PARQUET_MAGIC))
            file.seek(-len(PARQUET_MAGIC), os.SEEK_END)
            return start == file.read() == PARQUET_MAGIC

    @override
    def address(self, name: str) -> str:
        return str(self._root.absolute() / name)

    @override
    def reader(self, *folders: str) -> None:
        return None

    @override
    def delete(self, name: str) -> None:
        """Delete a file; folders KEY=VALUE, into which nothing is written now, go when they are empty."""
        path = self._root / name
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone
            for folder in list(path.parents)[: name.count("/")]:
                if "=" in folder.name:
                    folder.rmdir()

    @override
    def clear_temporary(self, folder: str) -> None:
        for path in (self._root / folder).rglob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """Write the data beside the path, safely on disk, under a name that is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not the pid: two containers that share a disk may each have the same one
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}-{path.name}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
