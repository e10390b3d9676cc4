"""A results folder: a file is there whole or not at all, locally and on a real S3 server."""

import io
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.connectors.parquet.tables import bounded_table
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.whole_files import TEMPORARY
from tests.support.s3server import S3Server

SETTINGS = StorageSettings(tries=2)


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> OutputFolder:
    if request.param == "local":
        return open_output(str(tmp_path / "new/results"), SETTINGS)
    return open_output(f"s3://{request.getfixturevalue('s3').bucket()}/new/results/", SETTINGS)


def test_files_come_back_by_name(output: OutputFolder) -> None:
    assert output.names("slices") == []
    output.write("slices/b.parquet", b"bb")
    output.write("slices/a.parquet", b"a")
    output.write("slices-of-another/c.parquet", b"c")
    assert output.names("slices") == ["slices/a.parquet", "slices/b.parquet"]
    assert output.read("slices/b.parquet") == b"bb"


def test_columns_are_read_alone(output: OutputFolder) -> None:
    table = pa.table({"score": [0.25, 0.5], "mask": [b"a", b"b"], "run_id": ["r", "r"]})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    output.write("slices/a.parquet", bytes(sink.getvalue()))
    columns = ["run_id", "score"]
    assert output.read_columns("slices/a.parquet", columns) == table.select(columns)
    with pytest.raises(FileNotFoundError):
        output.read_columns("slices/none.parquet", ["score"])


def test_other_columns_stay_unread(tmp_path: Path) -> None:
    table = pa.table({"score": [0.5] * 100, "mask": [os.urandom(10_000)] * 50 + [os.urandom(10_000)] * 50})
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, compression="none")
    with CountingFile(tmp_path / "a.parquet") as file:
        assert bounded_table(file, ["score"]).num_rows == 100
        assert file.count < 0.2 * (tmp_path / "a.parquet").stat().st_size


class CountingFile(io.FileIO):
    """Counts the bytes read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        self.count += len(data)
        return data


def test_a_file_is_replaced_whole(output: OutputFolder) -> None:
    output.write("runs/x.json", b"a longer first version")
    output.write("runs/x.json", b"second")
    assert output.read("runs/x.json") == b"second"
    assert output.names("runs") == ["runs/x.json"]


def test_only_the_first_creates_a_file(output: OutputFolder) -> None:
    assert output.create("runs/lease-0", b"mine")
    assert not output.create("runs/lease-0", b"theirs")
    assert output.read("runs/lease-0") == b"mine"
    assert output.names("runs") == ["runs/lease-0"]


def test_a_missing_file_is_not_found(output: OutputFolder) -> None:
    with pytest.raises(FileNotFoundError):
        output.read("runs/none.json")


def test_deleting_twice_is_no_error(output: OutputFolder) -> None:
    output.write("slices/a.parquet", b"a")
    output.delete("slices/a.parquet")
    output.delete("slices/a.parquet")
    assert output.names("slices") == []


def test_asking_whether_one_may_write_leaves_nothing(tmp_path: Path) -> None:
    open_output(str(tmp_path / "new/results"), SETTINGS).check_writable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_asking_whether_one_may_write_leaves_no_object(s3: S3Server) -> None:
    bucket = s3.bucket()
    open_output(f"s3://{bucket}/new/results", SETTINGS).check_writable()
    assert s3.client().find(bucket) == []


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    (tmp_path / "slices/a.parquet").mkdir(parents=True)  # a folder in the way of the rename
    with pytest.raises(OSError, match=r"a\.parquet"):
        output.write("slices/a.parquet", b"data")
    assert [p.name for p in (tmp_path / "slices").iterdir()] == ["a.parquet"]
    assert list((tmp_path / "slices/a.parquet").iterdir()) == []


def test_half_written_files_are_not_seen_and_are_cleared(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    output.write("slices/a.parquet", b"a")
    (tmp_path / f"slices/{TEMPORARY}17-b.parquet").write_bytes(b"half")
    assert output.names("slices") == ["slices/a.parquet"]
    output.clear_temporary("slices")
    assert [p.name for p in (tmp_path / "slices").iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_in_the_way_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ScreeningError, match="file is a file, not a folder"):
        open_output(str(tmp_path / path), SETTINGS).check_writable()


@pytest.mark.integration
def test_wrong_keys_may_not_write(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with s3.fresh_clients(), pytest.raises(ScreeningError) as refusal:
        open_output(f"s3://{bucket}/results", SETTINGS).check_writable()
    assert refusal.value.reason is Reason.DENIED
    assert s3.client().ls(bucket) == []


@pytest.mark.integration
def test_a_missing_bucket_is_not_writable(s3: S3Server) -> None:
    with pytest.raises(ScreeningError) as refusal:
        open_output("s3://no-such-bucket/results", SETTINGS).check_writable()
    assert refusal.value.reason is Reason.NOT_FOUND
