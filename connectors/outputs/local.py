"""Results in a folder of a file system."""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from typing_extensions import override

from s2sw.connectors.outputs.folder import CONTROL_BYTES, OutputFolder, too_large
from s2sw.connectors.parquet.footer import MAGIC, NO_PARQUET, Footer, NoParquetError
from s2sw.connectors.parquet.tables import bounded_table
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.whole_files import BY_UMASK, TEMPORARY, write_whole


class LocalOutput(OutputFolder):
    """A folder of a file system: temporary name, fsync, rename.

    Whoever may write to it may plant links. The root may be one, below it none is followed: a folder that is
    a link is refused by a UserError, a file that is one is left out of listings and not opened.
    """

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
        write_whole(self._new(name), data, BY_UMASK)

    @override
    def create(self, name: str, data: bytes) -> bool:
        path = self._new(name)
        try:
            write_whole(path, data, BY_UMASK, replace=False)
        except FileExistsError:
            return False
        return True

    @override
    def read(self, name: str, most: int = CONTROL_BYTES) -> bytes:
        with self._open(name) as file:
            if os.fstat(file.fileno()).st_size > most:
                raise too_large(self.address(name), most)
            return file.read(most)

    @override
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        with self._open(name) as file:
            return bounded_table(file, columns)

    @override
    def sizes(self, folder: str) -> dict[str, int]:
        found = {}
        for path in self._files(folder):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and not path.name.startswith("."):
                    found[path.relative_to(self._root).as_posix()] = status.st_size
        return dict(sorted(found.items()))

    @override
    def footer(self, name: str, size: int) -> Footer:
        """Look at the start, too: a full disk or a power cut may leave a file of the right name and size."""
        with self._open(name) as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise NoParquetError(NO_PARQUET)
        return super().footer(name, size)

    @override
    def tail(self, name: str, size: int, most: int) -> bytes:
        with self._open(name) as file:
            file.seek(max(0, size - most))
            return file.read(min(size, most))

    @override
    def modified(self, name: str) -> float:
        return self._place(name).lstat().st_mtime

    @override
    def address(self, name: str) -> str:
        return str(self._root.absolute() / name)

    @override
    def reader(self, *folders: str) -> None:
        return None

    @override
    def delete(self, name: str) -> None:
        """Delete a file; folders KEY=VALUE, into which nothing is written now, go when they are empty."""
        path = self._place(name)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone
            for folder in list(path.parents)[: name.count("/")]:
                if "=" in folder.name:
                    folder.rmdir()

    @override
    def clear_temporary(self, folder: str) -> None:
        for path in self._files(folder):
            if path.name.startswith(TEMPORARY):
                path.unlink(missing_ok=True)

    def _place(self, name: str) -> Path:
        """Return the path of a file. Raises UserError if a folder between it and the root is a link."""
        path = self._root / name
        for folder in list(path.parents)[: len(Path(name).parts) - 1]:
            _refuse_link(folder)
        return path

    def _new(self, name: str) -> Path:
        """Return the path of a file that is written next, in a folder that exists."""
        path = self._place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _open(self, name: str) -> BinaryIO:
        """Open a file to read. Raises UserError for a link, and for a pipe or device, which may never end."""
        path = self._place(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise UserError(
                f"{path} is a symbolic link, which is not followed: put the file itself there"
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise UserError(f"{path} is no regular file: remove it, or restore the file from a copy")
        return os.fdopen(descriptor, "rb")

    def _files(self, folder: str) -> Iterator[Path]:
        """Yield what lies below a folder and is no folder. Raises UserError for a folder that is a link."""
        base = self._place(folder)
        if folder:
            _refuse_link(base)
        for parent, folders, files in os.walk(base, onerror=_raise_unless_gone):
            for name in folders:
                _refuse_link(Path(parent, name))
            yield from (Path(parent, name) for name in files)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        raise error


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise UserError(
            f"{folder} is a symbolic link: move the folder itself there, or link the whole output"
        )
