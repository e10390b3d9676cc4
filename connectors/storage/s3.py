"""Objects on S3: one client a process, one endpoint, no redirects."""

import asyncio
import errno
import functools
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fsspec.asyn import sync

from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.stored import StoredObject, whole
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

if TYPE_CHECKING:
    import s3fs


_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
"""Older buckets have names that today's rules forbid."""
LOOK_SECONDS = 0.5  # between two looks whether a read has to end
GRACE_SECONDS = 60.0  # of an object, however slow


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

    from s2sw.connectors.storage.bounded_session import BoundedSession
    from s2sw.connectors.storage.s3_answers import session_of_quick_listings

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
            "http_session_cls": BoundedSession,
        },
        s3_additional_kwargs=_encryption(settings),
        skip_instance_cache=True,
        session=session_of_quick_listings(),
        **options,
    )


def _encryption(settings: StorageSettings) -> dict[str, str]:
    """Return what is sent with every object that is written (S3 API, PutObject)."""
    named = {"ServerSideEncryption": settings.encryption, "SSEKMSKeyId": settings.kms_key}
    return {name: value for name, value in named.items() if value}


def s3_endpoint(settings: StorageSettings) -> str | None:
    """Return the only endpoint that is ever connected to; None for AWS's own of the region."""
    named = (
        settings.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    )
    return named or None


def split_s3(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key; UserError if no bucket can have that name."""
    place = uri.removeprefix("s3:").removeprefix("//")  # of s3:// without the slashes at its end, too
    bucket, _, key = place.partition("/")
    if not bucket:
        raise UserError(f"s3://{place}: names no bucket; write s3://bucket/prefix")
    if not (_BUCKET.fullmatch(bucket) or bucket.startswith("arn:")):
        raise UserError(f"s3://{place}: a bucket's name has letters, digits, dots, hyphens and underscores")
    return bucket, key


def read_s3(stored: StoredObject, settings: StorageSettings, too_late: Callable[[], bool]) -> bytes:
    """Return the bytes of a listed object, in one try.

    Raises ScreeningError where ``too_late()`` says that no time is left, TimeoutError where the object comes
    slower than allowed.
    """
    client = s3_filesystem(settings)
    data: bytes = sync(client.loop, _get_in_time, client, stored, settings, too_late)
    return whole(data, stored)


async def _get_in_time(
    client: "s3fs.S3FileSystem", stored: StoredObject, settings: StorageSettings, too_late: Callable[[], bool]
) -> bytes:
    reading = asyncio.ensure_future(_get(client, stored))
    end = time.monotonic() + GRACE_SECONDS + stored.size / settings.slowest
    try:
        while not (await asyncio.wait({reading}, timeout=LOOK_SECONDS))[0]:
            if too_late():
                raise ScreeningError(Reason.TIME_WINDOW)
            if time.monotonic() > end:
                raise TimeoutError(f"less than {settings.slowest:g} bytes a second")
        return reading.result()
    finally:
        reading.cancel()


async def _get(client: "s3fs.S3FileSystem", stored: StoredObject) -> bytes:
    bucket, key = split_s3(stored.uri)
    response = await client._call_s3("get_object", Bucket=bucket, Key=key)
    async with response["Body"] as body:
        # some S3 servers ignore If-Match on reads, so the answer's own ETag is compared
        if response["ETag"].strip('"') != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        return await _start_of(body, stored.size + 1)


def read_start(uri: str, settings: StorageSettings, most: int, start: int = 0) -> bytes:
    """Return an object's bytes from ``start`` on, ``most`` at most, in one try. Raises FileNotFoundError."""
    client = s3_filesystem(settings)
    data: bytes = sync(client.loop, _get_start, client, *split_s3(uri), most, start)
    return data


async def _get_start(client: "s3fs.S3FileSystem", bucket: str, key: str, most: int, start: int) -> bytes:
    asked = {"Range": f"bytes={start}-{start + most - 1}"} if start else {}
    response = await client._call_s3("get_object", Bucket=bucket, Key=key, **asked)
    async with response["Body"] as body:
        return await _start_of(body, most)


def read_range(stored: StoredObject, settings: StorageSettings, start: int, most: int) -> bytes:
    """Return ``most`` bytes of a listed object from ``start`` on, fewer at its end; retries what may pass.

    Raises ScreeningError: ``changed`` where its ETag is no longer the listed one, and the reasons of storage.
    """
    client = s3_filesystem(settings)
    most = min(most, stored.size - start)

    def get() -> bytes:
        data: bytes = sync(client.loop, _get_range, client, stored, start, most)
        if len(data) != most:
            raise OSError(errno.EIO, f"{len(data)} of {most} bytes read")
        return data

    return with_retries(get, settings.tries)


async def _get_range(client: "s3fs.S3FileSystem", stored: StoredObject, start: int, most: int) -> bytes:
    bucket, key = split_s3(stored.uri)
    response = await client._call_s3(
        "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{start + most - 1}"
    )
    async with response["Body"] as body:
        if response["ETag"].strip('"') != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        return await _start_of(body, most)


async def _start_of(body: Any, most: int) -> bytes:
    data = bytearray()
    while len(data) < most and (chunk := await body.read(most - len(data))):
        data += chunk
    return bytes(data)
