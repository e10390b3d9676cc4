"""Objects in local folders."""

import os
import stat
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
    """Yield every file below a folder, or the one file; as ``list_objects``.

    Whatever has a name there and is no folder is yielded; reading says what is wrong with a pipe or a link
    that leads nowhere. Folders are listed where they lie: a link to one inside is nothing new, and one that
    leads out is yielded as what it is. A folder below the root that cannot be listed is yielded too, so that
    it has a row and the others go on. Raises ScreeningError for the root.
    """
    if root.is_file():
        yield local_object(root)
        return
    if not root.is_dir():
        raise ScreeningError(Reason.NOT_A_FILE if root.exists() else Reason.NOT_FOUND, str(root))

    root = root.resolve()
    unlisted: list[Path] = []

    def note(error: OSError) -> None:
        if error.filename == str(root):
            raise ScreeningError(reason_of(error), str(error)) from error
        if not isinstance(error, FileNotFoundError):  # gone since the folder above was read: never listed
            unlisted.append(Path(error.filename))

    # linked folders are not followed: they may form a circle
    for folder, folders, names in os.walk(root, onerror=note):
        yield from _unlisted(unlisted)
        here = Path(folder)
        folders[:] = sorted(name for name in folders if here / name != skip)
        out = [name for name in folders if _leads_out(here / name, root)]
        for name in sorted([*names, *out]):
            with suppress(FileNotFoundError):  # gone since its folder was read: never listed
                yield listed_file(here / name)
    yield from _unlisted(unlisted)


def _unlisted(folders: list[Path]) -> Iterator[StoredObject]:
    """Yield what stands for folders that cannot be listed, and forget them; reading one says why."""
    while folders:
        yield listed_file(folders.pop())


def _leads_out(path: Path, root: Path) -> bool:
    """Tell whether a folder is a link to one that is not below the source, so that nothing else lists it."""
    try:
        return path.is_symlink() and not path.resolve().is_relative_to(root)
    except OSError:  # too long a path: listing the folder will say so
        return False


def listed_file(path: Path) -> StoredObject:
    """Return what listing says of a name; of a link that leads to no file, what it says itself.

    Raises FileNotFoundError.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        raise
    except OSError:  # a folder that may be read and not entered, a path too long: reading will say so
        return StoredObject(local_uri(path), 0, "", 0.0)
    if stat.S_ISLNK(status.st_mode):
        with suppress(OSError):
            target = path.stat()
            status = status if stat.S_ISDIR(target.st_mode) else target
    regular = stat.S_ISREG(status.st_mode)
    return StoredObject(
        local_uri(path), status.st_size if regular else 0, _local_etag(status), status.st_mtime
    )


def local_object(path: Path) -> StoredObject:
    """Return what listing says of a file. Raises OSError."""
    path = path.absolute()
    status = path.stat()
    return StoredObject(local_uri(path), status.st_size, _local_etag(status), status.st_mtime)


def local_uri(path: Path) -> str:
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
    """Return the bytes of a listed file, in one try. Raises NOT_A_FILE, CHANGED, OSError.

    Only a regular file is opened: opening a pipe waits for a writer, and opening a device may do anything.
    """
    path = local_path(stored.uri)
    status = path.stat()
    if stat.S_ISDIR(status.st_mode) and not path.is_symlink():
        _check_unlisted(path)
    _check_regular(status)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        before = os.fstat(file.fileno())
        _check_regular(before)
        if _local_etag(before) != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        data = file.read(stored.size + 1)
        if _local_etag(os.fstat(file.fileno())) != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
    return whole(data, stored)


def _check_unlisted(folder: Path) -> None:
    """Raise what listing a folder raised; CHANGED where it can be listed by now, as the next run will."""
    with os.scandir(folder):
        raise ScreeningError(Reason.CHANGED, f"{folder}: it can be listed now; the next run reads its files")


def _check_regular(status: os.stat_result) -> None:
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a link to a folder elsewhere"}
    if not stat.S_ISREG(status.st_mode):
        raise ScreeningError(Reason.NOT_A_FILE, kinds.get(stat.S_IFMT(status.st_mode), "a device"))
