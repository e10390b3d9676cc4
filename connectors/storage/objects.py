"""Where objects lie: local folders and ``s3://`` behind the same few functions.

Requests that fail with transient errors (throttling, time-outs, broken connections) are retried with growing
waits; denied and missing objects are not. An error that remains is a ``ScreeningError`` with a reason.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from s2sw.connectors.storage.local import list_local, local_object, local_path, read_local
from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.s3 import is_s3, read_s3, s3_filesystem, split_s3
from s2sw.connectors.storage.s3_listing import list_s3
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings


def list_objects(
    source: str, settings: StorageSettings, skip: str | None = None, few: bool = False
) -> Iterator[StoredObject]:
    """Yield every object below a local folder, a local file, or an S3 prefix, one by one.

    skip: a local folder to leave out (the run's own output). few: only some will be taken, so that no more of
    a large bucket is asked for than these need. Raises ScreeningError if the source is
    missing, denied or cannot be reached.
    """
    if is_s3(source):
        return list_s3(source, settings, few)
    return list_local(Path(source), Path(skip).resolve() if skip and not is_s3(skip) else None)


def stat_object(uri: str, settings: StorageSettings) -> StoredObject:
    """Return one object as a listing would. Raises ScreeningError (``not_found``, ...)."""
    if not is_s3(uri):
        return with_retries(lambda: local_object(local_path(uri)), settings.tries)
    bucket, key = split_s3(uri)
    client = s3_filesystem(settings)
    head = with_retries(lambda: client.call_s3("head_object", Bucket=bucket, Key=key), settings.tries)
    modified = head["LastModified"].timestamp()
    return StoredObject(uri, head["ContentLength"], head["ETag"].strip('"'), modified)


def read_object(
    stored: StoredObject,
    settings: StorageSettings,
    max_bytes: int,
    too_late: Callable[[], bool] = lambda: False,
) -> bytes:
    """Return the bytes of a listed object. too_late: called repeatedly while a server answers.

    Raises ScreeningError: ``too_large`` above max_bytes, ``changed`` where size or ETag are no longer
    the listed ones, ``time_window`` once it is too late, and the reasons of storage.
    """
    if stored.size > max_bytes:
        raise ScreeningError(Reason.TOO_LARGE, f"{stored.size} bytes, limit {max_bytes}")
    if is_s3(stored.uri):
        return with_retries(lambda: read_s3(stored, settings, too_late), settings.tries)
    return with_retries(lambda: read_local(stored, settings), settings.tries)
