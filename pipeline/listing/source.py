"""What a run lists: the source, without what s2sw itself wrote there."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from s2sw.connectors.manifests.completing import completed
from s2sw.connectors.manifests.listing import list_manifest, markers, source_of
from s2sw.connectors.reading.archives import expand_archives
from s2sw.connectors.storage.local import local_path
from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.s3 import is_s3
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.privacy.private_bucket import open_inside
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.layout import MARKER, is_ours

OWN_OUTPUT, OTHER_OUTPUT, PRIVATE = "own output", "other output", "private folder"
LINK_OUT = "links out of the source"


def listing(config: ScreenConfig, left_out: Counter[str] | None = None) -> Iterator[StoredObject]:
    """List the source, archives by their members, up to the limit, without results and private folders.

    left_out: counts the files that are passed over, by what they belong to.
    """
    counts: Counter[str] = Counter() if left_out is None else left_out
    known: set[str] = set()
    if config.manifest is not None and is_s3(config.source):
        known = markers(config.manifest, config.storage, MARKER)
    return itertools.islice(_members(config, counts, known), config.limit)


def first_object(config: ScreenConfig) -> StoredObject | None:
    """Return one object of the source; None where it holds nothing but what s2sw itself wrote.

    A manifest is not searched for outputs of others, which takes as long as reading it.
    """
    return next(_members(config, Counter(), set(), few=True), None)


def with_source(config: ScreenConfig) -> ScreenConfig:
    """Return the configuration with the source that a manifest implies. Raises UserError."""
    if config.source or config.manifest is None:
        return config
    return config.model_copy(update={"source": source_of(config.manifest, config.storage)})


def _members(
    config: ScreenConfig, counts: Counter[str], known: set[str], few: bool = False
) -> Iterator[StoredObject]:
    """Yield the objects that are screened, archives by their members. few: as of ``list_objects``.

    known: addresses of markers of outputs that a manifest, which has no order, lists anywhere.
    """
    belongs, leads_out = _belongs(config, known), _leads_out(config)

    def kept() -> Iterator[StoredObject]:
        for stored in _listed(config, counts, few):
            kind = belongs(stored.uri) or (LINK_OUT if leads_out(stored.uri) else None)
            if kind is None:
                yield stored
            else:
                counts[kind] += 1

    whole = kept() if config.manifest is None else completed(kept(), config.storage)
    return expand_archives(whole, config.storage, config.decode)


def _listed(config: ScreenConfig, counts: Counter[str], few: bool) -> Iterator[StoredObject]:
    if config.manifest is None:
        return list_objects(config.source, config.storage, few=few)
    return list_manifest(config.manifest, config.source, config.storage, counts)


def _leads_out(config: ScreenConfig) -> Callable[[str], bool]:
    """Return the function that tells whether a file is a link to one that does not lie below the source.

    Whoever may write to the source could have any file screened that this account can read.
    """
    source = Path(config.source).resolve()
    if is_s3(config.source) or config.follow_links or not source.is_dir():
        return lambda _: False

    def leads_out(uri: str) -> bool:
        path = local_path(uri)
        try:  # what leads to no file has a row of its own
            return path.is_symlink() and path.is_file() and not path.resolve().is_relative_to(source)
        except OSError:  # too long a path: reading will say so
            return False

    return leads_out


def _belongs(config: ScreenConfig, known: set[str]) -> Callable[[str], str | None]:
    """Return the function that tells what of ours an object belongs to; None for an object of the archive."""
    own = _folder(config.output)
    private = _folder(open_inside(config.private_dir, config.storage).address)
    others = _InBucket(known).root_of if is_s3(config.source) else _InFolder(config.source).root_of

    def belongs(uri: str) -> str | None:
        if uri.startswith(own) and is_ours(uri.removeprefix(own)):
            return OWN_OUTPUT
        if uri.startswith(private):
            return PRIVATE
        root = others(uri)
        return OTHER_OUTPUT if root is not None and is_ours(uri.removeprefix(root)) else None

    return belongs


def _folder(address: str) -> str:
    """Return what the addresses of all that lies in a folder or below a prefix begin with."""
    return (address.rstrip("/") if is_s3(address) else str(Path(address).resolve())) + "/"


class _InFolder:
    """Finds the output that a file of a local source lies in: the nearest folder around it with a marker."""

    def __init__(self, source: str) -> None:
        self._source = Path(source).resolve()
        self._root_of = lru_cache(maxsize=65536)(self._look)

    def root_of(self, uri: str) -> str | None:
        """Return the output's folder, a slash at its end."""
        return self._root_of(uri.rpartition("/")[0])

    def _look(self, folder: str) -> str | None:
        for one in (Path(folder), *Path(folder).parents):
            if not one.is_relative_to(self._source):
                return None
            if (one / MARKER).exists():
                return f"{one}/"
        return None


class _InBucket:
    """The same for a bucket, whose listing gives a marker before all that lies in its output."""

    def __init__(self, markers: set[str]) -> None:
        """markers: addresses of those that may come later."""
        self._roots = {uri.removesuffix(MARKER) for uri in markers}

    def root_of(self, uri: str) -> str | None:
        """Return the output's prefix, a slash at its end."""
        if uri.endswith(f"/{MARKER}"):
            self._roots.add(uri.removesuffix(MARKER))
        folder = uri
        while (end := folder.rfind("/", 0, -1)) > len("s3://"):
            folder = folder[: end + 1]
            if folder in self._roots:
                return folder
        return None
