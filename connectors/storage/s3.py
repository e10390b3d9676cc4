"""Objects on S3: one client a process, one endpoint, no redirects."""

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fsspec.asyn import sync

from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.stored import StoredObject, whole
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

if TYPE_CHECKING:
    import s3fs


S3_PAGE = 1000  # keys a listing request returns at most (S3 API, ListObjectsV2)


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

    from s2sw.connectors.storage.no_redirects import StayingSession

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


def list_s3(source: str, settings: StorageSettings) -> Iterator[StoredObject]:
    """Yield every object below a prefix; as ``list_objects``."""
    bucket, prefix = split_s3(source)
    client = s3_filesystem(settings)
    token: dict[str, str] = {}
    while True:
        request = functools.partial(
            client.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=S3_PAGE, **token
        )
        page = with_retries(request, settings.tries)
        for entry in page.get("Contents", ()):
            if entry["Size"] or not entry["Key"].endswith("/"):  # folder markers of consoles hold no bytes
                yield StoredObject(
                    f"s3://{bucket}/{entry['Key']}",
                    entry["Size"],
                    entry["ETag"].strip('"'),
                    entry["LastModified"].timestamp(),
                )
        if not page.get("IsTruncated"):
            return
        token = {"ContinuationToken": page["NextContinuationToken"]}


def read_s3(stored: StoredObject, settings: StorageSettings) -> bytes:
    """Return the bytes of a listed object, in one try."""
    client = s3_filesystem(settings)
    data: bytes = sync(client.loop, _get, client, stored)
    return whole(data, stored)


async def _get(client: "s3fs.S3FileSystem", stored: StoredObject) -> bytes:
    bucket, key = split_s3(stored.uri)
    response = await client._call_s3("get_object", Bucket=bucket, Key=key)
    async with response["Body"] as body:
        # some S3 servers ignore If-Match on reads, so the answer's own ETag is compared
        if response["ETag"].strip('"') != stored.etag:
            raise ScreeningError(Reason.CHANGED, stored.uri)
        data: bytes = await body.read()
        return data
