"""The folder of results, local or on S3. Files appear atomically."""

from abc import ABC, abstractmethod
from typing import TypeVar

import pyarrow as pa
from fsspec import AbstractFileSystem

from s2sw.connectors.parquet.footer import TAIL_BYTES, Footer, footer_bytes, parse_footer
from s2sw.schemas.errors import UserError

T = TypeVar("T")

CONTROL_BYTES = 64 << 20
"""Bytes of a record, a log entry or another file of JSON at most."""
TABLE_BYTES = 1 << 30
"""Bytes at most of a table that is read whole, as decisions are."""


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
    def read(self, name: str, most: int = CONTROL_BYTES) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError, and UserError if there are more than ``most``."""

    @abstractmethod
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        """Return columns of a Parquet file, reading little more of it. Raises FileNotFoundError."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return names and bytes of the files below a folder, sorted by name; {} where there is none."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files below a folder, sorted; [] where there is no such folder."""
        return list(self.sizes(folder))

    def footer(self, name: str, size: int) -> Footer:
        """Return what the footer of a Parquet file of so many bytes says; nothing else of it is read.

        Raises NoParquetError, and FileNotFoundError if it is gone since it was listed.
        """
        tail = self.tail(name, size, TAIL_BYTES)
        length = footer_bytes(tail, size)
        return parse_footer(tail[-length:] if length <= len(tail) else self.tail(name, size, length))

    @abstractmethod
    def tail(self, name: str, size: int, most: int) -> bytes:
        """Return the last bytes, ``most`` of them at most, of a file of so many bytes."""

    @abstractmethod
    def modified(self, name: str) -> float:
        """Return when a file was written, in Unix seconds by the clock of the storage; on S3 whole ones."""

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


def too_large(address: str, most: int) -> UserError:
    """Return the error of a file that no run has written."""
    return UserError(f"{address} has more than {most >> 20} MiB: remove it, or restore the file from a copy")
