"""The folder of results, local or on S3. A file is there whole or not at all."""

import contextlib
import errno
import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from typing_extensions import override

from connectors.storage.objects import is_s3, list_objects, s3_filesystem, s3_reader, split_s3, with_retries
from schemas.outcomes import Reason, ScreeningError
from schemas.storage import StorageSettings

T = TypeVar("T")

TEMPORARY = ".tmp-"
"""Prefix of files not yet whole; readers of Parquet folders skip names that start with a dot."""


class OutputFolder(ABC):
    """Files by name below one root; names use forward slashes (``slices/part.parquet``)."""

    root: str

    @abstractmethod
    def check_writable(self) -> None:
        """Raise ScreeningError if nothing could be written here; leaves nothing behind."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a file in one step, replacing one of the same name."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a file in one step unless there is one of that name; tell whether it was written."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError."""

    @abstractmethod
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        """Return columns of a Parquet file, reading little more of it. Raises FileNotFoundError."""

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Return the names of the whole files below a folder, sorted; [] where there is no such folder."""

    @abstractmethod
    def address(self, name: str) -> str:
        """Return where a library finds the file: an absolute path, or ``s3://bucket/key``."""

    @abstractmethod
    def reader(self, *folders: str) -> AbstractFileSystem | None:
        """Return the file system by which a library reads files of these folders that are there now.

        None is this machine's own.
        """

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file; one that is gone already is no error."""

    @abstractmethod
    def clear_temporary(self, folder: str) -> None:
        """Remove what a killed writer left half written."""


def open_output(uri: str, settings: StorageSettings) -> OutputFolder:
    """Return the results folder at a local path or an ``s3://`` prefix."""
    return S3Output(uri, settings) if is_s3(uri) else LocalOutput(Path(uri))


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
    def names(self, folder: str) -> list[str]:
        base = self._root / folder
        if not base.is_dir():
            return []
        files = (path for path in base.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self._root).as_posix() for path in files)

    @override
    def address(self, name: str) -> str:
        return str(self._root.absolute() / name)

    @override
    def reader(self, *folders: str) -> None:
        return None

    @override
    def delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

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


def columns_of(file: BinaryIO, columns: list[str]) -> pa.Table:
    """Return columns of an open Parquet file; of the rest only the footer is read."""
    return pq.ParquetFile(file, pre_buffer=True).read(columns=columns, use_threads=False)


class S3Output(OutputFolder):
    """A prefix of a bucket: one PUT a file, which S3 makes visible whole."""

    def __init__(self, root: str, settings: StorageSettings) -> None:
        self.root = root.rstrip("/")
        self._settings = settings
        self._bucket, self._prefix = split_s3(self.root)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @override
    def check_writable(self) -> None:
        name = f"{TEMPORARY}probe-{os.getpid()}"
        self.write(name, b"")
        self.delete(name)

    @override
    def write(self, name: str, data: bytes) -> None:
        client = s3_filesystem(self._settings)
        with_retries(
            lambda: client.call_s3("put_object", Bucket=self._bucket, Key=self._key(name), Body=data),
            self._settings.tries,
        )

    @override
    def create(self, name: str, data: bytes) -> bool:
        client = s3_filesystem(self._settings)

        def put() -> bool:
            try:
                client.call_s3(
                    "put_object", Bucket=self._bucket, Key=self._key(name), Body=data, IfNoneMatch="*"
                )
            except OSError as error:
                if not isinstance(error, FileExistsError) and "Precondition" not in str(error.__cause__):
                    raise
                return self.read(name) == data  # an earlier try may have written it without an answer
            return True

        return with_retries(put, self._settings.tries)

    @override
    def read(self, name: str) -> bytes:
        client = s3_filesystem(self._settings)

        def get() -> bytes | None:
            try:
                data: bytes = client.cat_file(f"{self._bucket}/{self._key(name)}")
            except FileNotFoundError:
                return None
            return data

        return self._found(name, get)

    @override
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        client = s3_filesystem(self._settings)

        def get() -> pa.Table | None:
            try:
                # each read of the Parquet reader is one request for just its range
                with client.open(f"{self._bucket}/{self._key(name)}", "rb", cache_type="none") as file:
                    return columns_of(file, columns)
            except FileNotFoundError:
                return None

        return self._found(name, get)

    def _found(self, name: str, get: Callable[[], T | None]) -> T:
        """Try until there is an answer; None says that there is no such file."""
        found = with_retries(get, self._settings.tries)
        if found is None:
            raise FileNotFoundError(f"{self.root}/{name}")
        return found

    @override
    def names(self, folder: str) -> list[str]:
        start = len(f"s3://{self._bucket}/") + len(self._key(""))
        found = list_objects(f"s3://{self._bucket}/{self._key(folder)}/", self._settings)
        return sorted(stored.uri[start:] for stored in found)

    @override
    def address(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._key(name)}"

    @override
    def reader(self, *folders: str) -> AbstractFileSystem:
        client = s3_reader(self._settings)
        for folder in folders:
            # sizes of all files by one listing, instead of two requests a file
            client.find(f"{self._bucket}/{self._key(folder)}")
        return client

    @override
    def delete(self, name: str) -> None:
        client = s3_filesystem(self._settings)
        with_retries(
            lambda: client.call_s3("delete_object", Bucket=self._bucket, Key=self._key(name)),
            self._settings.tries,
        )

    @override
    def clear_temporary(self, folder: str) -> None:
        """Nothing to do: a PUT that was cut off leaves nothing behind."""
