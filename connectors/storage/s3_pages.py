"""Pages of a bucket's listing, and the folders by which a large one is divided."""

import functools
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.s3 import s3_filesystem
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

PAGE = 1000  # keys a listing request returns at most (S3 API, ListObjectsV2)
EMPTY_PAGES = 20  # of a listing, one after the other, that promise more
DEPTH = 16
"""Levels of folders at most that are divided."""

Entry = tuple[str, int, str, float]
"""Key, size in bytes, ETag and modification time (seconds since the epoch) of an object."""


@dataclass(frozen=True)
class Divided:
    """A prefix as the objects directly in its folders, and the prefixes of all others."""

    objects: list[Entry]
    prefixes: list[str]


@dataclass(frozen=True)
class Lister:
    """Asks for pages. Safe for several threads."""

    bucket: str
    settings: StorageSettings

    def pages(self, prefix: str) -> Generator[list[Entry], None, None]:
        """Yield the objects below a prefix, a page at a time. Raises ScreeningError for one without end."""
        token: dict[str, str] = {}
        highest, empty = "", 0
        while True:
            page = self._page(prefix, **token)
            entries = page.get("Contents", ())
            last = max((entry["Key"] for entry in entries), default="")
            empty = 0 if entries else empty + 1
            if (entries and last <= highest) or empty > EMPTY_PAGES:
                raise _endless()
            highest = max(highest, last)
            yield _entries(entries, prefix)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def divided(self, prefix: str, fewest: int) -> Divided | None:
        """Divide a prefix by its folders into ``fewest`` prefixes or more; None where that cannot be."""
        objects: list[Entry] = []
        whole: list[str] = []
        open_ = [prefix]
        for _ in range(DEPTH):
            if not open_ or len(whole) + len(open_) >= fewest:
                break
            below: list[str] = []
            for one in open_:
                level = self._level(one)
                if level is None:
                    whole.append(one)
                else:
                    objects += level.objects
                    below += level.prefixes
            open_ = below
        prefixes = whole + open_
        return Divided(objects, prefixes) if len(prefixes) > 1 else None

    def _level(self, prefix: str) -> Divided | None:
        """Return what lies directly below a prefix; None where that is more than a page."""
        page = self._page(prefix, Delimiter="/")
        if page.get("IsTruncated"):
            return None
        below = [one["Prefix"] for one in page.get("CommonPrefixes", ())]
        fitting = all(
            one.startswith(prefix) and len(one) > len(prefix) and one.endswith("/") for one in below
        )
        if not fitting or len(set(below)) < len(below):
            raise _endless()
        return Divided(_entries(page.get("Contents", ()), prefix), below)

    def _page(self, prefix: str, **more: str) -> dict[str, Any]:
        client = s3_filesystem(self.settings)
        request = functools.partial(
            client.call_s3, "list_objects_v2", Bucket=self.bucket, Prefix=prefix, MaxKeys=PAGE, **more
        )
        page: dict[str, Any] = with_retries(request, self.settings.tries)
        return page


def _entries(listed: Sequence[dict[str, Any]], prefix: str) -> list[Entry]:
    if not all(one["Key"].startswith(prefix) for one in listed):
        raise _endless()
    return [
        (one["Key"], one["Size"], one["ETag"].strip('"'), one["LastModified"].timestamp())
        for one in listed
        if one["Size"] or not one["Key"].endswith("/")  # folder markers of consoles hold no bytes
    ]


def _endless() -> ScreeningError:
    return ScreeningError(Reason.IO_ERROR, "the listing of the S3 server comes to no end")
