"""Manifests in CSV and Parquet: what their rows become, and which rows are refused."""

import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.manifests.completing import completed
from s2sw.connectors.manifests.files import ManifestError
from s2sw.connectors.manifests.listing import list_manifest, markers, source_of
from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.storage import StorageSettings
from tests.support.s3server import S3Server

SETTINGS = StorageSettings()
LAKE = "s3://lake/2026/"


def listed(path: Path | str, source: str = LAKE) -> list[StoredObject]:
    return list(list_manifest(str(path), source, SETTINGS, Counter()))


def csv_file(folder: Path, *lines: str | bytes, name: str = "list.csv") -> Path:
    data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("name", ["list.csv", "list.csv.gz", "LIST.CSV"])
def test_rows_of_csv(tmp_path: Path, name: str) -> None:
    path = csv_file(
        tmp_path,
        "\ufeffuri,size,etag,modified,comment",
        's3://lake/2026/a.png,12,"""abc-2""",2026-01-02T03:04:05Z,x',
        '"s3://lake/2026/b,\nc.png",0,def,1700000000.5,',
        "s3://lake/2026/d.png,,,,",
        name=name,
    )
    then = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    assert listed(path) == [
        StoredObject("s3://lake/2026/a.png", 12, "abc-2", then),
        StoredObject("s3://lake/2026/b,\nc.png", 0, "def", 1700000000.5),
        StoredObject("s3://lake/2026/d.png", -1, "", 0.0),
    ]
    assert source_of(str(path), SETTINGS) == "s3://lake/"


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int8(), pa.string())]
)
def test_rows_of_parquet_in_the_types_that_programs_write(tmp_path: Path, kind: pa.DataType) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5)
    table = pa.table(
        {
            "size": pa.array([12.0, None]),
            "uri": pa.array(["s3://lake/2026/ä.png", "s3://lake/2026/b"]).cast(kind),
            "etag": ["abc", None],
            "modified": pa.array([when, None], pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "list.parquet")
    then = when.replace(tzinfo=UTC).timestamp()
    assert listed(tmp_path / "list.parquet") == [
        StoredObject("s3://lake/2026/ä.png", 12, "abc", then), StoredObject("s3://lake/2026/b", -1, "", 0.0)
    ]  # fmt: skip


WRONG = {
    "the column 'uri' is missing": ["key,size", "s3://lake/2026/a,1"],
    "the column 'size' occurs twice": ["uri,size,size", "s3://lake/2026/a,1,1"],
    "row 2: size is negative": ["uri,size", "s3://lake/2026/a,1", "s3://lake/2026/b,-1"],
    "row 1: size is no whole number": ["uri,size", "s3://lake/2026/a,1.5"],
    "row 2: uri is not UTF-8": ["uri,size", "s3://lake/2026/a,1", b"s3://lake/2026/\xff,1"],
    "row 2: uri lies outside of the source": ["uri", "s3://lake/2026/a", "s3://lake/2025/a"],
    "row 1: uri is empty": ["uri,size", ",1"],
    "row 1: uri is neither s3://bucket/key nor an absolute path": ["uri", "2026/a.png"],
    "row 1: modified is neither a time": ["uri,modified", "s3://lake/2026/a,yesterday"],
    "row 2 has not as many values as the header": ["uri,size", "s3://lake/2026/a,1", "s3://lake/2026/b"],
    "has a row of more than 1048576 bytes": ["uri", "s3://lake/2026/" + "a" * (3 << 20)],
    "row 1: a member of an archive needs size and etag": ["uri,member", "s3://lake/2026/a.zip,b.png"],
}


@pytest.mark.parametrize("problem", WRONG)
def test_each_wrong_thing_is_one_line_without_an_address(tmp_path: Path, problem: str) -> None:
    path = csv_file(tmp_path, *WRONG[problem])
    with pytest.raises(ManifestError) as error:
        listed(path)
    assert str(error.value).startswith(f"manifest: {path}: {problem}")
    assert "lake" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.parquet", b"PAR1" + b"x" * 100, "is damaged, or no parquet file"),
        ("a.csv", b"", "the column 'uri' is missing"),
        ("a.csv.gz", b"uri\n", "cannot be read (it is cut, or no gzip file)"),
        ("a.csv.gz", gzip.compress(b"uri\n", mtime=0)[:-9], "cannot be read (it is cut, or no gzip file)"),
        ("a.txt", b"uri\n", "is none of .csv, .csv.gz, .parquet"),
        ("missing.csv", None, "cannot be read (it does not exist)"),
    ],
    ids=["parquet", "empty", "no gzip", "cut gzip", "another kind", "missing"],
)  # fmt: skip
def test_files_that_are_none(tmp_path: Path, name: str, data: bytes | None, problem: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ManifestError, match=problem.replace("(", r"\(").replace(")", r"\)")):
        listed(tmp_path / name)


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name, content in (
        ("any.csv", b"uri,size,modified\n" + data),
        ("any.parquet", data),
        ("any.json", data),
    ):
        (folder / name).write_bytes(content)
        try:
            found = listed(folder / name)
        except ManifestError:
            continue
        assert all(one.uri.startswith(LAKE) for one in found)


KEYS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40)
ROWS = st.lists(st.tuples(KEYS, st.integers(0, 10**15), st.text("abcdef0123456789-", min_size=1)), min_size=1)


@given(ROWS)
def test_what_csv_and_parquet_hold_is_what_is_listed(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]]
) -> None:
    import csv

    folder = tmp_path_factory.getbasetemp()
    with (folder / "round.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["uri", "size", "etag"])
        writer.writerows([LAKE + key, size, etag] for key, size, etag in rows)
    keys, sizes, etags = (list(column) for column in zip(*rows, strict=True))
    pq.write_table(
        pa.table({"uri": [LAKE + key for key in keys], "size": sizes, "etag": etags}),
        folder / "round.parquet",
    )
    expected = [StoredObject(LAKE + key, size, etag, 0.0) for key, size, etag in rows]
    assert listed(folder / "round.csv") == listed(folder / "round.parquet") == expected


def test_local_files_are_as_listing_names_them(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    (lake / "deep").mkdir(parents=True)
    (lake / "deep/a.png").write_bytes(b"a")
    (lake / "dangling").symlink_to(tmp_path / "nowhere")
    (lake / "again").symlink_to(lake / "deep")
    (tmp_path / "link").symlink_to(lake)
    path = csv_file(
        tmp_path, "uri,size,etag", f"{tmp_path}/link/again/../again/a.png,99,ff", f"{lake}/dangling,,"
    )
    found = list(completed(listed(path, str(tmp_path / "link")), SETTINGS))
    expected = {one.uri: one for one in list_objects(str(lake), SETTINGS)}
    assert found == [expected[f"{lake.resolve()}/deep/a.png"], expected[f"{lake.resolve()}/dangling"]]


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "{lake}/../secret", "{lake}/out/secret", "s3://lake/a", "file:///%00"]
)
def test_no_row_leads_out_of_a_folder(tmp_path: Path, uri: str) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (lake / "out").symlink_to(tmp_path)
    path = csv_file(tmp_path, "uri", uri.format(lake=lake))
    with pytest.raises(ManifestError, match="row 1: uri lies outside of the source"):
        listed(path, str(lake))


def test_of_local_files_the_source_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="name the folder they lie in as the source"):
        source_of(str(csv_file(tmp_path, "uri", "/archive/a.png")), SETTINGS)


def test_objects_on_s3_are_asked_for_what_is_missing(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    for name in ("a.png", "b c+ü.png", "folder/"):
        s3.client().pipe_file(f"{bucket}/2026/{name}", b"" if name == "folder/" else name.encode())
    source = f"s3://{bucket}/2026/"
    expected = list(list_objects(source, SETTINGS))
    names = [one.uri for one in expected]
    manifest = csv_file(tmp_path, "uri", *names, f"{source}folder/", f"{source}gone")
    s3.client().put_file(str(manifest), f"{bucket}/list.csv")
    found = list(completed(listed(f"s3://{bucket}/list.csv", source), SETTINGS))
    assert found == [*expected, StoredObject(f"{source}gone", 0, "", 0.0)]


def test_markers_are_found_anywhere(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path, "uri", "s3://lake/2026/results/z.png", b"s3://lake/\xff", "s3://lake/2026/results/_m"
    )
    assert markers(str(path), SETTINGS, "_m") == {"s3://lake/2026/results/_m"}


def test_a_text_that_is_repeated_is_not_spelled_out(tmp_path: Path) -> None:
    """The attack: a uri of eight million letters stands once in the file, and in 10,000 of its rows."""
    path = tmp_path / "list.parquet"
    uri = pa.DictionaryArray.from_arrays(
        pa.array([0] * 10_000, pa.int32()), pa.array(["/" + "x" * (8 << 20)])
    )
    pq.write_table(pa.table({"uri": uri}), path, store_schema=False)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ManifestError, match="holds more than 512 MiB of values in 10000 rows"):
        list(list_manifest(str(path), str(tmp_path), StorageSettings(), Counter()))
