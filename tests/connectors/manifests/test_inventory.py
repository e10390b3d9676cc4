"""S3 Inventory in its three formats: keys, versions, deleted objects, and where data files lie."""

import csv
import gzip
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.manifests.files import ManifestError
from s2sw.connectors.manifests.inventory import decoded_keys
from s2sw.connectors.manifests.listing import DELETED, ELSEWHERE, OLD, list_manifest, markers, source_of
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.storage import StorageSettings
from tests.support.s3server import S3Server

SETTINGS = StorageSettings()
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAMES = {
    "Bucket": "bucket", "Key": "key", "VersionId": "version_id", "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker", "Size": "size", "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag", "StorageClass": "storage_class",
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"key": "2026/a b+c/ü.png", "is_latest": True, "is_delete_marker": False, "size": 3, "e_tag": "abc"},
    {"key": "2026/a b+c/ü.png", "is_latest": False, "is_delete_marker": False, "size": 2, "e_tag": "old"},
    {"key": "2026/gone.png", "is_latest": True, "is_delete_marker": True, "size": None, "e_tag": None},
    {"key": "2025/x.png", "is_latest": True, "is_delete_marker": False, "size": 1, "e_tag": "x"},
    {"key": "2026/r/_m", "is_latest": True, "is_delete_marker": False, "size": 1, "e_tag": "m"},
]
EXPECTED = [
    StoredObject("s3://lake/2026/a b+c/ü.png", 3, "abc", WHEN.timestamp()),
    StoredObject("s3://lake/2026/r/_m", 1, "m", WHEN.timestamp()),
]


def data_file(kind: str, rows: list[dict[str, Any]]) -> bytes:
    full = [{"bucket": "lake", "version_id": "v", "storage_class": "STANDARD"} | row for row in rows]
    sink = io.BytesIO()
    if kind == "CSV":
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        for row in full:
            values = row | {
                "key": quote(row["key"], safe="/"),
                "last_modified_date": "2026-01-02T03:04:05.000Z",
            }
            found = [values[name] for name in NAMES.values()]
            writer.writerow(
                [str(v).lower() if isinstance(v, bool) else "" if v is None else v for v in found]
            )
        return gzip.compress(text.getvalue().encode())
    table = pa.Table.from_pylist([row | {"last_modified_date": WHEN} for row in full])
    if kind == "ORC":
        pyarrow.orc.write_table(table, sink)
    else:
        pq.write_table(table, sink)
    return sink.getvalue()


def manifest(kind: str, destination: str, *keys: str, **changes: Any) -> bytes:
    schema = ", ".join(NAMES) if kind == "CSV" else "message s3.inventory { required binary key (UTF8); }"
    said = {
        "sourceBucket": "lake", "destinationBucket": f"arn:aws:s3:::{destination}", "version": "2016-11-30",
        "creationTimestamp": "1767312000000", "fileFormat": kind, "fileSchema": schema,
        "files": [{"key": key, "size": 1, "MD5checksum": "0" * 32} for key in keys],
    }  # fmt: skip
    return json.dumps(said | changes).encode()


def name_of(kind: str) -> str:
    return {"CSV": "1.csv.gz", "ORC": "1.orc", "Parquet": "1.parquet"}[kind]


def local(folder: Path, kind: str, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> str:
    """Write an inventory as `aws s3 sync` of its folder brings it."""
    (folder / "data").mkdir()
    (folder / "2026-01-02T01-00Z").mkdir()
    (folder / "data" / name_of(kind)).write_bytes(data_file(kind, rows))
    path = folder / "2026-01-02T01-00Z" / "manifest.json"
    path.write_bytes(manifest(kind, "inventories", f"lake/daily/data/{name_of(kind)}", **changes))
    return str(path)


@pytest.mark.parametrize("kind", ["CSV", "ORC", "Parquet"])
def test_current_objects_below_the_source_are_listed(tmp_path: Path, kind: str) -> None:
    address, left_out = local(tmp_path, kind), Counter[str]()
    assert source_of(address, SETTINGS) == "s3://lake/"
    assert list(list_manifest(address, "s3://lake/2026/", SETTINGS, left_out)) == EXPECTED
    assert left_out == {OLD: 1, DELETED: 1, ELSEWHERE: 1}
    assert markers(address, SETTINGS, "_m") == {"s3://lake/2026/r/_m"}


def test_data_files_lie_in_the_destination_bucket(s3: S3Server) -> None:
    bucket = s3.bucket()
    key = f"lake/daily/data/{name_of('CSV')}"
    s3.client().pipe_file(f"{bucket}/{key}", data_file("CSV", ROWS))
    s3.client().pipe_file(f"{bucket}/lake/daily/x/manifest.json", manifest("CSV", bucket, key))
    found = list_manifest(f"s3://{bucket}/lake/daily/x/manifest.json", "s3://lake/2026", SETTINGS, Counter())
    assert list(found) == EXPECTED


def test_data_files_of_another_bucket_are_not_read(s3: S3Server) -> None:
    bucket = s3.bucket()
    address = f"s3://{bucket}/x/manifest.json"
    s3.client().pipe_file(f"{bucket}/x/manifest.json", manifest("CSV", s3.bucket(), "lake/data/1.csv.gz"))
    with pytest.raises(ManifestError, match="destinationBucket is not the bucket that this file lies in"):
        list(list_manifest(address, "s3://lake/2026", SETTINGS, Counter()))


def test_an_inventory_of_current_versions_says_less(tmp_path: Path) -> None:
    """Only bucket and key are always there; the server is asked for the rest."""
    address = local(tmp_path, "Parquet")
    pq.write_table(pa.table({"bucket": ["lake"], "key": ["a"]}), tmp_path / "data/1.parquet")
    found = list(list_manifest(address, "s3://lake/", SETTINGS, Counter()))
    assert found == [StoredObject("s3://lake/a", -1, "", 0.0)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sourceBucket": "a/../b"}, "sourceBucket"),
        ({"fileFormat": "XML"}, "fileFormat is none of CSV, Parquet and ORC"),
        ({"fileSchema": "Bucket, Name"}, "the column 'key' is missing"),
        ({"files": [{"size": 1}]}, "files.0.key"),
        ({"sourceBucket": "other"}, "row 1 is of another bucket than other"),
    ],
)
def test_an_inventory_that_cannot_be_used_is_one_line(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    address = local(tmp_path, "CSV", **changes)
    with pytest.raises(ManifestError, match=problem) as error:
        list(list_manifest(address, "s3://lake/", SETTINGS, Counter()))
    assert "\n" not in str(error.value)


def test_a_key_that_is_no_utf_8(tmp_path: Path) -> None:
    address = local(tmp_path, "CSV")
    (tmp_path / "data/1.csv.gz").write_bytes(
        gzip.compress(b'"lake","%ff","v","true","false","1","","e",""\n')
    )
    with pytest.raises(ManifestError, match=r"1.csv.gz: row 1: key is not UTF-8"):
        list(list_manifest(address, "s3://lake/", SETTINGS, Counter()))


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_keys_survive_either_way_of_encoding(key: str) -> None:
    assert decoded_keys([quote(key), quote_plus(key)]) == [key, key]
