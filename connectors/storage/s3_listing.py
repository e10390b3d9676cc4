"""Listing a bucket: page after page, and a large one by several prefixes at once."""

import itertools
import queue
import threading
from collections.abc import Iterator, Sequence

from s2sw.connectors.storage.listing_process import ListingProcess, processes
from s2sw.connectors.storage.s3 import split_s3
from s2sw.connectors.storage.s3_pages import Entry, Lister
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.storage import StorageSettings

PLAIN_PAGES = 20
"""A bucket with more pages than this is listed by several processes: these take a second to start."""
LISTERS = 8
"""Prefixes that are listed at once."""
FEWEST = 4 * LISTERS
"""Prefixes are divided further until there are so many: they are of very different size."""
WAIT = 0.1  # seconds after which a thread that waits looks whether the listing was given up


def list_s3(source: str, settings: StorageSettings, few: bool = False) -> Iterator[StoredObject]:
    """Yield every object below a prefix; as ``list_objects``.

    Objects that lie directly in a folder come before those of its subfolders, or all of them in the server's
    order.
    """
    bucket, prefix = split_s3(source)
    for page in _pages(Lister(bucket, settings), prefix, few):
        for key, size, etag, modified in page:
            yield StoredObject(f"s3://{bucket}/{key}", size, etag, modified)


def _pages(lister: Lister, prefix: str, few: bool) -> Iterator[list[Entry]]:
    pages = lister.pages(prefix)
    if few:
        yield from pages
        return
    first = list(itertools.islice(pages, PLAIN_PAGES))
    divided = lister.divided(prefix, FEWEST) if len(first) == PLAIN_PAGES else None
    if divided is None:
        yield from first
        yield from pages
        return
    pages.close()
    yield divided.objects
    yield from _SideBySide(lister, divided.prefixes).pages()


class _SideBySide:
    """Lists prefixes in several processes; those of each prefix come in its own order."""

    def __init__(self, lister: Lister, prefixes: Sequence[str]) -> None:
        self._lister = lister
        self._left, self._lock = iter(prefixes), threading.Lock()
        self._found: queue.Queue[list[Entry] | Exception | None] = queue.Queue(2 * LISTERS)
        self._over = threading.Event()

    def pages(self) -> Iterator[list[Entry]]:
        """Yield the pages as they come; once the caller leaves, all that was started ends."""
        started = [ListingProcess(self._lister, share) for share in processes(LISTERS)]
        threads = [
            threading.Thread(target=self._follow, args=(one,), name="listing", daemon=True) for one in started
        ]
        for thread in threads:
            thread.start()
        working = len(threads)
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
            for process in started:
                process.kill()
            for thread in threads:
                thread.join()
            for process in started:
                process.close()

    def _follow(self, process: ListingProcess) -> None:
        try:
            for page in process.pages(self._next):
                if not self._put(page):
                    return
        except Exception as error:  # noqa: BLE001 - raised where the pages are asked for
            self._put(error)
        self._put(None)

    def _next(self) -> str | None:
        with self._lock:
            return next(self._left, None)

    def _put(self, found: list[Entry] | Exception | None) -> bool:
        """Hand on what was found; False where nobody asks any more."""
        while not self._over.is_set():
            try:
                self._found.put(found, timeout=WAIT)
            except queue.Full:
                continue
            return True
        return False
