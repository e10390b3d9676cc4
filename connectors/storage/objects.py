"""Where objects lie: local folders and ``s3://`` behind the same few functions.

Errors that may pass (throttling, time-outs, broken connections) are tried again with growing waits;
denied and missing objects are not. Whatever remains is a ``ScreeningError`` with a reason.
"""

import errno
import functools
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote_to_bytes

from fsspec.asyn import sync

from connectors.guard import reason_of
from schemas.outcomes import PASSING_REASONS, Reason, ScreeningError
from schemas.storage import StorageSettings

if TYPE_CHECKING:
    import s3fs

T = TypeVar("T")

FILE_URI = "file://"
S3_PAGE = 1000  # keys a listing request returns at most (S3 API, ListObjectsV2)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One listed object.

    etag: the store's own version mark; for local files the modification time (ns) and the size in hex.
    modified: seconds since the epoch, UTC. member, place: name and position of a file in the archive at
    ``uri``; size is then the file's, and etag the archive's.
    """

    uri: str
    size: int
    etag: str
    modified: float
    member: str = ""
    place: int = 0

    @property
    def address(self) -> str:
        """The uri, with the member's name behind an exclamation mark."""
        return f"{self.uri}!{self.member}" if self.member else self.uri

    @property
    def version(self) -> str:
        """The version mark; with the position of a member, since an archive may use a name twice."""
        return f"{self.etag}!{self.place}" if self.member else self.etag


def is_s3(uri: str) -> bool:
    """Tell whether the URI names an S3 object or prefix."""
    return uri.startswith("s3://")


@functools.lru_cache(maxsize=8)
def s3_filesystem(settings: StorageSettings) -> "s3fs.S3FileSystem":
    """Return this process's client. Made where it is used: s3fs does not survive a fork."""
    filesystem = _s3_client(settings, use_listings_cache=False)
    filesystem.retries = 1  # with_retries is the one place that tries again
    return filesystem


def s3_reader(settings: StorageSettings) -> "s3fs.S3FileSystem":
    """Return a new client for libraries that read files themselves, a request for just each range.

    It tries again by itself, and keeps what it lists: for files that never change.
    """
    filesystem = _s3_client(settings, use_listings_cache=True, default_cache_type="none")
    filesystem.retries = settings.tries
    return filesystem


def _s3_client(settings: StorageSettings, **options: Any) -> "s3fs.S3FileSystem":
    # here, not above: local archives need no client, and importing it takes half a second of every process
    import s3fs

    from connectors.storage.no_redirects import StayingSession

    client: dict[str, Any] = {"region_name": settings.region} if settings.region else {}
    return s3fs.S3FileSystem(
        anon=settings.anonymous,
        endpoint_url=s3_endpoint(settings),
        client_kwargs=client,
        config_kwargs={
            "connect_timeout": settings.connect_timeout,
            "read_timeout": settings.read_timeout,
            "retries": {"total_max_attempts": 1},
            # the one endpoint is known: no profile or service setting may name another
            "ignore_configured_endpoint_urls": True,
            "http_session_cls": StayingSession,
        },
        skip_instance_cache=True,
        **options,
    )


def s3_endpoint(settings: StorageSettings) -> str | None:
    """Return the only endpoint that is ever connected to; None for AWS's own of the region."""
    named = (
        settings.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    )
    return named or None


def split_s3(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def with_retries(call: Callable[[], T], tries: int) -> T:
    """Return what the call returns, trying again what may pass.

    Raises ScreeningError with the reason of the last failure.
    """
    for attempt in range(1, tries + 1):
        try:
            return call()
        except ScreeningError:
            raise
        except Exception as error:
            reason = reason_of(error)
            if reason not in PASSING_REASONS or attempt == tries:
                raise ScreeningError(reason, str(error)) from error
        # full jitter, so that many workers do not come back in step
        time.sleep(random.uniform(0, min(10.0, 0.2 * 2**attempt)))  # noqa: S311 (no secret)
    raise AssertionError("unreachable: the last try returns or raises")


def list_objects(source: str, settings: StorageSettings, skip: str | None = None) -> Iterator[StoredObject]:
    """Yield every object below a local folder, a local file, or an S3 prefix, one by one.

    skip: a local folder to leave out (the run's own output). Raises ScreeningError if the source is
    missing, denied or cannot be reached.
    """
    if is_s3(source):
        return _list_s3(source, settings)
    return _list_local(Path(source), Path(skip).resolve() if skip and not is_s3(skip) else None)


def _list_local(root: Path, skip: Path | None) -> Iterator[StoredObject]:
    if root.is_file():
        yield _local_object(root)
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
                    yield _local_object(path)


def _local_object(path: Path) -> StoredObject:
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


def _local_path(uri: str) -> Path:
    if not uri.startswith(FILE_URI):
        return Path(uri)
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix(FILE_URI))))


def _local_etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _list_s3(source: str, settings: StorageSettings) -> Iterator[StoredObject]:
    bucket, prefix = split_s3(source)
    client = s3_filesystem(settings)
    token: dict[str, str] = {}
    while True:
        request = functools.partial(
            client.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=S3_PAGE, **token
        )
        page = with_retries(request, settings.tries)
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # folder markers of consoles hold no bytes
                yield StoredObject(
                    f"s3://{bucket}/{entry['Key']}",
                    entry["Size"],
                    entry["ETag"].strip('"'),
                    entry["LastModified"].timestamp(),
                )
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def stat_object(uri: str, settings: StorageSettings) -> StoredObject:
    """Return what listing would say of one object. Raises ScreeningError (``not_found``, ...)."""
    if not is_s3(uri):
        return with_retries(lambda: _local_object(_local_path(uri)), settings.tries)
    bucket, key = split_s3(uri)
    client = s3_filesystem(settings)
    head = with_retries(lambda: client.call_s3("head_object", Bucket=bucket, Key=key), settings.tries)
    modified = head["LastModified"].timestamp()
    return StoredObject(uri, head["ContentLength"], head["ETag"].strip('"'), modified)


def read_object(stored: StoredObject, settings: StorageSettings, max_bytes: int) -> bytes:
    """Return the bytes of a listed object.

    Raises ScreeningError: ``too_large`` above max_bytes, ``changed`` where size or ETag are no longer
    the listed ones, and the reasons of storage.
    """
    if stored.size > max_bytes:
        raise ScreeningError(Reason.TOO_LARGE, f"{stored.size} bytes, limit {max_bytes}")
    read = _read_s3 if is_s3(stored.uri) else _read_local
    return with_retries(lambda: read(stored, settings), settings.tries)


def _read_local(stored: StoredObject, settings: StorageSettings) -> bytes:
    with _local_path(stored.uri).open("rb") as file:
        if _local_etag(os.fstat(file.fileno())) != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        data = file.read(stored.size + 1)
    return _whole(data, stored)


def _read_s3(stored: StoredObject, settings: StorageSettings) -> bytes:
    client = s3_filesystem(settings)
    data: bytes = sync(client.loop, _get, client, stored)
    return _whole(data, stored)


async def _get(client: "s3fs.S3FileSystem", stored: StoredObject) -> bytes:
    bucket, key = split_s3(stored.uri)
    response = await client._call_s3("get_object", Bucket=bucket, Key=key)
    async with response["Body"] as body:
        # some S3 servers ignore If-Match on reads, so the answer's own ETag is compared
        if response["ETag"].strip('"') != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        data: bytes = await body.read()
        return data


def _whole(data: bytes, stored: StoredObject) -> bytes:
    if len(data) != stored.size:
        raise OSError(errno.EIO, f"{len(data)} of {stored.size} bytes read")
    return data
