"""The objects of a manifest, as listing their source would give them.

An S3 object is taken as it stands there if its row has size and ETag; else the server is asked. Files of this
machine are always looked at: their version mark is their time and size.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.manifests.columns import RowError, flags, sizes, texts, times
from s2sw.connectors.manifests.files import ManifestError
from s2sw.connectors.manifests.inventory import COLUMNS, decoded_keys, inventory_batches, read_inventory
from s2sw.connectors.manifests.tables import batches
from s2sw.connectors.storage.local import FILE_URI, local_path, local_uri
from s2sw.connectors.storage.s3 import is_s3, split_s3
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.storage import StorageSettings

URI, SIZE, ETAG, MODIFIED, MEMBER, PLACE = "uri", "size", "etag", "modified", "member", "place"
WANTED = (URI, SIZE, ETAG, MODIFIED, MEMBER, PLACE)
"""Columns that are read; the last two are of an earlier run's listing, which names members of archives."""
UNKNOWN = -1
"""In place of a size: the object has to be asked for."""
OLD, DELETED, ELSEWHERE = "older versions", "deleted objects", "objects outside of the source"


def list_manifest(
    address: str, source: str, settings: StorageSettings, left_out: Counter[str]
) -> Iterator[StoredObject]:
    """Yield the objects of a manifest in its order, those with size UNKNOWN still to be completed.

    source: what all of them must lie below. An inventory lists a whole bucket: what lies elsewhere in it is
    left out and counted, as deleted objects and old versions are. Raises ManifestError.
    """
    below = _below(source)
    if _is_inventory(address):
        yield from _of_inventory(address, below, settings, left_out)
        return
    first = 1
    for batch in batches(address, WANTED, settings):
        yield from _rows(address, batch, first, below)
        first += len(batch)


def source_of(address: str, settings: StorageSettings) -> str:
    """Return the bucket of an inventory, or of a manifest's first row. Raises ManifestError."""
    if _is_inventory(address):
        return f"s3://{read_inventory(address, settings).source}/"
    batch = next((one for one in batches(address, (URI,), settings) if len(one)), None)
    uri = _values(address, batch, 1, URI, texts)[0] if batch is not None else ""
    if batch is None:
        raise ManifestError(address, "holds no rows; nothing to screen")
    if not is_s3(uri):
        raise ManifestError(address, "lists files of this machine; name the folder they lie in as the source")
    return f"s3://{split_s3(uri)[0]}/"


def markers(address: str, settings: StorageSettings, name: str) -> set[str]:
    """Return the addresses of all objects of a name, as far as rows can be read."""
    found: set[str] = set()
    inventory = read_inventory(address, settings) if _is_inventory(address) else None
    if inventory is None:
        columns = (batch.column(URI) for batch in batches(address, (URI,), settings))
    else:
        columns = (batch.column("key") for _, batch in inventory_batches(address, inventory, settings))
    for column in columns:
        ends = pc.ends_with(column.cast(pa.binary()), pattern=f"/{name}")
        for value in column.filter(ends).to_pylist():
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            found.add(text if inventory is None else f"s3://{inventory.source}/{decoded_keys([text])[0]}")
    return found


def _is_inventory(address: str) -> bool:
    return address.lower().endswith(".json")


def _rows(
    address: str, batch: pa.RecordBatch, first: int, below: Callable[[str], str | None]
) -> Iterator[StoredObject]:
    uris = _values(address, batch, first, URI, texts)
    size, etag = _values(address, batch, first, SIZE, sizes), _values(address, batch, first, ETAG, texts)
    modified = _values(address, batch, first, MODIFIED, times)
    member, place = (
        _values(address, batch, first, MEMBER, texts),
        _values(address, batch, first, PLACE, sizes),
    )
    rows = zip(uris, size, etag, modified, member, place, strict=True)
    for row, (uri, *facts) in enumerate(rows, first):
        found = below(uri)
        if found is None:
            raise ManifestError(address, f"row {row}: {_why_not(uri)}")
        stored = _stored(found, *facts)
        if stored.member and stored.size == UNKNOWN:
            raise ManifestError(address, f"row {row}: a member of an archive needs size and etag")
        yield stored


def _of_inventory(
    address: str, below: Callable[[str], str | None], settings: StorageSettings, left_out: Counter[str]
) -> Iterator[StoredObject]:
    inventory = read_inventory(address, settings)
    encoded = inventory.format.lower() == "csv"
    first: Counter[str] = Counter()
    for place, batch in inventory_batches(address, inventory, settings):
        at = first[place] + 1
        first[place] += len(batch)
        keys = _values(place, batch, at, "key", lambda column: _keys(column, encoded))
        latest, deleted = (_values(place, batch, at, name, flags) for name in COLUMNS[-2:])
        facts = (
            _values(place, batch, at, name, read)
            for name, read in (("size", sizes), ("e_tag", texts), ("last_modified_date", times))
        )
        buckets = _values(place, batch, at, "bucket", texts)
        rows = zip(keys, buckets, latest, deleted, *facts, strict=True)
        for row, (key, bucket, is_latest, is_deleted, size, etag, modified) in enumerate(rows, at):
            if bucket not in (None, "", inventory.source):
                raise ManifestError(place, f"row {row} is of another bucket than {inventory.source}")
            found = below(f"s3://{inventory.source}/{key}")
            if is_deleted or is_latest is False or found is None:
                left_out[DELETED if is_deleted else OLD if is_latest is False else ELSEWHERE] += 1
            else:
                yield _stored(found, size, etag, modified, "", 0)


def _keys(column: pa.Array, encoded: bool) -> list[str]:
    found = texts(column)
    return decoded_keys(found) if encoded else found


def _stored(
    uri: str,
    size: int | None,
    etag: str | None,
    modified: float | None,
    member: str | None,
    place: int | None,
) -> StoredObject:
    mark = (etag or "").strip('"')
    known = size is not None and mark and (is_s3(uri) or member)
    return StoredObject(
        uri, size if known and size is not None else UNKNOWN, mark, modified or 0.0, member or "", place or 0
    )


def _values(
    address: str, batch: pa.RecordBatch, first: int, name: str, read: Callable[[pa.Array], list[Any]]
) -> list[Any]:
    """Return a column's values, None for each row where it is missing; errors name file, column and row."""
    if name not in batch.schema.names:
        return [None] * len(batch)
    try:
        return read(batch.column(name))
    except RowError as error:
        raise ManifestError(address, f"row {first + error.row}: {name} {error}") from None
    except ValueError as error:
        raise ManifestError(address, f"column {name}: {error}") from None


def _below(source: str) -> Callable[[str], str | None]:
    """Return the function from an address to how listing the source names it; None where it never would."""
    if is_s3(source):
        return lambda uri: uri if uri.startswith(source) and split_s3(uri)[1] else None
    root = Path(source).resolve()

    @lru_cache(maxsize=4096)
    def folder(path: Path) -> Path:
        return path.resolve()

    def below(uri: str) -> str | None:
        path = local_path(uri)
        if is_s3(uri) or not path.is_absolute() or path.name in ("", ".."):
            return None
        try:
            found = folder(path.parent) / path.name
        except (OSError, RuntimeError, ValueError):  # too long, a circle of links, a zero byte
            return None
        return local_uri(found) if found.is_relative_to(root) else None

    return below


def _why_not(uri: str) -> str:
    if not uri:
        return "uri is empty"
    if not is_s3(uri) and not uri.startswith(("/", FILE_URI)):
        return "uri is neither s3://bucket/key nor an absolute path"
    return "uri lies outside of the source"
