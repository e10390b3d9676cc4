"""The folder of results, local or on S3. Files appear atomically."""

from abc import ABC, abstractmethod
from typing import BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from s2sw.schemas.errors import UserError

T = TypeVar("T")

PARQUET_MAGIC = b"PAR1"
PARQUET_LEAST = 12
"""Bytes of a Parquet file at least: the magic number at both ends, and the footer's length."""

CONTROL_BYTES = 64 << 20
"""Bytes of a record, a log entry or another file of JSON at most."""
TABLE_BYTES = 1 << 30
"""Bytes at most of a table that is read whole, as decisions are."""

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
    def read(self, name: str, most: int | None = CONTROL_BYTES) -> bytes:
        """Return a file's bytes. Raises FileNotFoundError, and UserError if there are more than ``most``.

        most: None for tables and tensors, which have no bound.
        """

    @abstractmethod
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        """Return columns of a Parquet file, reading little more of it. Raises FileNotFoundError."""

    @abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return names and bytes of the files below a folder, sorted by name; {} where there is none."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files below a folder, sorted; [] where there is no such folder."""
        return list(self.sizes(folder))

    def is_whole_parquet(self, name: str, size: int) -> bool:
        """Tell whether a file of this size can be a whole Parquet file, reading almost nothing of it."""
        return size >= PARQUET_LEAST

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


def columns_of(file: BinaryIO, columns: list[str]) -> pa.Table:
    """Return columns of an open Parquet file; of the rest only the footer is read."""
    return pq.ParquetFile(file, pre_buffer=True).read(columns=columns, use_threads=False)


def too_large(address: str, most: int) -> UserError:
    """Return the error of a file that no run has written."""
    return UserError(f"{address} has more than {most >> 20} MiB: remove it, or restore the file from a copy")
