"""Objects in local folders."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from s2sw.connectors.storage.retries import reason_of
from s2sw.connectors.storage.stored import StoredObject, whole
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

FILE_URI = "file://"


def list_local(root: Path, skip: Path | None) -> Iterator[StoredObject]:
    """Yield every file below a folder, or the one file; as ``list_objects``."""
    if root.is_file():
        yield local_object(root)
        return
    if not root.is_dir():
        raise ScreeningError(Reason.NOT_FOUND, str(root))

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # gone since the folder above was read: never listed
            raise ScreeningError(reason_of(error), str(error)) from error

    # linked folders are not followed: they may form a circle
    for folder, folders, names in os.walk(root.resolve(), onerror=refuse):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if here / name != skip)
        for name in sorted(names):
            path = here / name
            with suppress(FileNotFoundError):  # gone since its folder was read: never listed
                if path.is_file():
                    yield local_object(path)


def local_object(path: Path) -> StoredObject:
    """Return what listing says of a file. Raises OSError."""
    path = path.absolute()
    status = path.stat()
    return StoredObject(_local_uri(path), status.st_size, _local_etag(status), status.st_mtime)


def _local_uri(path: Path) -> str:
    """Return the path; a file URI (RFC 8089) where its bytes are no UTF-8, which no table could hold."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return FILE_URI + quote(os.fsencode(path))
    return str(path)


def local_path(uri: str) -> Path:
    """Return the path of a listed file."""
    if not uri.startswith(FILE_URI):
        return Path(uri)
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix(FILE_URI))))


def _local_etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def read_local(stored: StoredObject, settings: StorageSettings) -> bytes:
    """Return the bytes of a listed file, in one try."""
    with local_path(stored.uri).open("rb") as file:
        if _local_etag(os.fstat(file.fileno())) != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        data = file.read(stored.size + 1)
    return whole(data, stored)
