"""Listing a bucket: page after page, and a large one by several prefixes at once."""

import functools
import itertools
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.s3 import s3_filesystem, split_s3
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

PAGE = 1000  # keys a listing request returns at most (S3 API, ListObjectsV2)
EMPTY_PAGES = 20  # of a listing, one after the other, that promise more
PLAIN_PAGES = 4
"""A bucket with more pages than this is listed by several prefixes at once."""
LISTERS = 8
"""Prefixes that are listed at once."""
FEWEST = 4 * LISTERS
"""Prefixes are divided further until there are so many: they are of very different size."""
DEPTH = 16
"""Levels of folders at most that are divided."""
WAIT = 0.1  # seconds after which a thread that waits looks whether the listing was given up


def list_s3(source: str, settings: StorageSettings, few: bool = False) -> Iterator[StoredObject]:
    """Yield every object below a prefix; as ``list_objects``.

    Objects that lie directly in a folder come before those of its subfolders, or all of them in the server's
    order.
    """
    bucket, prefix = split_s3(source)
    lister = _Lister(bucket, settings)
    pages = lister.pages(prefix)
    if few:
        yield from itertools.chain.from_iterable(pages)
        return
    first = list(itertools.islice(pages, PLAIN_PAGES))
    divided = lister.divided(prefix) if len(first) == PLAIN_PAGES else None
    if divided is None:
        yield from itertools.chain.from_iterable(itertools.chain(first, pages))
        return
    pages.close()
    yield from divided.objects
    yield from itertools.chain.from_iterable(_SideBySide(lister, divided.prefixes).pages())


@dataclass(frozen=True)
class _Divided:
    """A prefix as the objects directly in its folders, and the prefixes of all others."""

    objects: list[StoredObject]
    prefixes: list[str]


@dataclass(frozen=True)
class _Lister:
    """Asks for pages. Safe for several threads."""

    bucket: str
    settings: StorageSettings

    def pages(self, prefix: str) -> Generator[list[StoredObject], None, None]:
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
            yield self._objects(entries, prefix)
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def divided(self, prefix: str) -> _Divided | None:
        """Divide a prefix by its folders into FEWEST prefixes or more; None where it cannot be divided."""
        objects: list[StoredObject] = []
        whole: list[str] = []
        open_ = [prefix]
        for _ in range(DEPTH):
            if not open_ or len(whole) + len(open_) >= FEWEST:
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
        return _Divided(objects, prefixes) if len(prefixes) > 1 else None

    def _level(self, prefix: str) -> _Divided | None:
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
        return _Divided(self._objects(page.get("Contents", ()), prefix), below)

    def _page(self, prefix: str, **more: str) -> dict[str, Any]:
        client = s3_filesystem(self.settings)
        request = functools.partial(
            client.call_s3, "list_objects_v2", Bucket=self.bucket, Prefix=prefix, MaxKeys=PAGE, **more
        )
        page: dict[str, Any] = with_retries(request, self.settings.tries)
        return page

    def _objects(self, entries: Sequence[dict[str, Any]], prefix: str) -> list[StoredObject]:
        if not all(entry["Key"].startswith(prefix) for entry in entries):
            raise _endless()
        return [
            StoredObject(
                f"s3://{self.bucket}/{entry['Key']}",
                entry["Size"],
                entry["ETag"].strip('"'),
                entry["LastModified"].timestamp(),
            )
            for entry in entries
            if entry["Size"] or not entry["Key"].endswith("/")  # folder markers of consoles hold no bytes
        ]


def _endless() -> ScreeningError:
    return ScreeningError(Reason.IO_ERROR, "the listing of the S3 server comes to no end")


class _SideBySide:
    """Lists prefixes in several threads; those of each prefix come in its own order."""

    def __init__(self, lister: _Lister, prefixes: Sequence[str]) -> None:
        self._lister = lister
        self._left, self._lock = iter(prefixes), threading.Lock()
        self._found: queue.Queue[list[StoredObject] | Exception | None] = queue.Queue(2 * LISTERS)
        self._over = threading.Event()

    def pages(self) -> Iterator[list[StoredObject]]:
        """Yield the objects page by page; once the caller leaves, all threads end."""
        threads = [threading.Thread(target=self._work, name="listing", daemon=True) for _ in range(LISTERS)]
        for thread in threads:
            thread.start()
        working = LISTERS
        try:
            while working:
                found = self._found.get()
                if isinstance(found, Exception):
                    raise found
                if found is None:
                    working -= 1
                else:
                    yield found
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _work(self) -> None:
        try:
            while (prefix := self._next()) is not None:
                for page in self._lister.pages(prefix):
                    if not self._put(page):
                        return
        except Exception as error:  # noqa: BLE001 - raised where the pages are asked for
            self._put(error)
        self._put(None)

    def _next(self) -> str | None:
        with self._lock:
            return next(self._left, None)

    def _put(self, found: list[StoredObject] | Exception | None) -> bool:
        """Hand on what was found; False where nobody asks any more."""
        while not self._over.is_set():
            try:
                self._found.put(found, timeout=WAIT)
            except queue.Full:
                continue
            return True
        return False
