"""Results under a prefix of a bucket."""

import secrets
from collections.abc import Callable

import pyarrow as pa
from fsspec import AbstractFileSystem
from typing_extensions import override

from s2sw.connectors.outputs.folder import CONTROL_BYTES, OutputFolder, T, too_large
from s2sw.connectors.parquet.tables import bounded_table
from s2sw.connectors.storage.objects import list_objects, stat_object
from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.s3 import read_start, s3_filesystem, s3_reader, split_s3
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.whole_files import TEMPORARY

UNCONDITIONAL = (
    "this S3 server replaces an object although it is told not to (If-None-Match: *), so that two runs could "
    "write at once; use a server with conditional writes"
)


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
        """Also raise ScreeningError for a server without conditional writes, which leases need."""
        name = f"{TEMPORARY}probe-{secrets.token_hex(8)}"
        try:
            if not self.create(name, b"first") or self.create(name, b"second"):
                raise ScreeningError(Reason.IO_ERROR, UNCONDITIONAL)
        finally:
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
    def read(self, name: str, most: int = CONTROL_BYTES) -> bytes:
        data = self._start(name, most + 1)
        if len(data) > most:
            raise too_large(self.address(name), most)
        return data

    @override
    def read_columns(self, name: str, columns: list[str]) -> pa.Table:
        client = s3_filesystem(self._settings)

        def get() -> pa.Table | None:
            try:
                # each read of the Parquet reader is one request for just its range
                with client.open(f"{self._bucket}/{self._key(name)}", "rb", cache_type="none") as file:
                    return bounded_table(file, columns)
            except FileNotFoundError:
                return None

        return self._found(name, get)

    @override
    def tail(self, name: str, size: int, most: int) -> bytes:
        return self._start(name, min(size, most), max(0, size - most)) if size else b""

    def _start(self, name: str, most: int, start: int = 0) -> bytes:
        def get() -> bytes | None:
            try:
                return read_start(self.address(name), self._settings, most, start)
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
    def sizes(self, folder: str) -> dict[str, int]:
        start = len(f"s3://{self._bucket}/") + len(self._key(""))
        found = list_objects(f"s3://{self._bucket}/{self._key(folder)}/", self._settings)
        return dict(sorted((stored.uri[start:], stored.size) for stored in found))

    @override
    def modified(self, name: str) -> float:
        return stat_object(self.address(name), self._settings).modified

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
