"""Asking for what a manifest does not say of its objects."""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from s2sw.connectors.manifests.listing import UNKNOWN
from s2sw.connectors.storage.local import listed_file, local_path
from s2sw.connectors.storage.objects import stat_object
from s2sw.connectors.storage.s3 import is_s3
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

AT_ONCE = 32
BATCH = 1024
OF_THE_OBJECT = frozenset({Reason.NOT_FOUND, Reason.DENIED})
"""What is wrong with one object; reading it says so again, and its row has the reason."""


def completed(objects: Iterable[StoredObject], settings: StorageSettings) -> Iterator[StoredObject]:
    """Yield the objects in their order with size, version and time, those without them asked for.

    One that is missing or denied stays, without a version. Markers of folders, which hold no bytes, are left
    out as in a listing. Raises ScreeningError where the storage does not answer.
    """
    incoming = iter(objects)
    with ThreadPoolExecutor(AT_ONCE, "manifest") as pool:
        while batch := list(itertools.islice(incoming, BATCH)):
            asked = (one for one in batch if one.size == UNKNOWN)
            answers = pool.map(lambda one: _asked(one, settings), asked)
            for one in batch:
                found = next(answers) if one.size == UNKNOWN else one
                if found.size or not (is_s3(found.uri) and found.uri.endswith("/")):
                    yield found


def _asked(stored: StoredObject, settings: StorageSettings) -> StoredObject:
    try:
        if not is_s3(stored.uri):
            return listed_file(local_path(stored.uri))
        return stat_object(stored.uri, settings)
    except FileNotFoundError:
        return replace(stored, size=0, etag="")
    except ScreeningError as error:
        if error.reason not in OF_THE_OBJECT:
            raise
        return replace(stored, size=0, etag="")
