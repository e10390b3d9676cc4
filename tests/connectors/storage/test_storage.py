"""Listing and reading, on local folders and on a real S3 server alike."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from s2sw.connectors.storage.objects import list_objects, read_object
from s2sw.connectors.storage.retries import reason_of, with_retries
from s2sw.connectors.storage.s3 import split_s3
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from tests.support.s3server import S3Server

SETTINGS = StorageSettings(tries=2)
LIMIT = 1 << 20


class Place(Protocol):
    """Somewhere to put files: a folder or a bucket."""

    root: str

    def put(self, name: str, data: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class Folder:
    def __init__(self, path: Path) -> None:
        self.root = str(path)
        path.mkdir()

    def put(self, name: str, data: bytes) -> None:
        path = Path(self.root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        Path(self.root, name).unlink()


class Bucket:
    def __init__(self, server: S3Server) -> None:
        self._client = server.client()
        self.root = f"s3://{server.bucket()}/archive"

    def put(self, name: str, data: bytes) -> None:
        self._client.pipe_file(f"{self.root}/{name}", data)

    def remove(self, name: str) -> None:
        self._client.rm_file(f"{self.root}/{name}")


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Folder(tmp_path / "archive")
    return Bucket(request.getfixturevalue("s3"))


def listed(source: str, **options: str) -> list[StoredObject]:
    return list(list_objects(source, SETTINGS, **options))


def reason_for_reading(stored: StoredObject, limit: int = LIMIT) -> Reason:
    with pytest.raises(ScreeningError) as refusal:
        read_object(stored, SETTINGS, limit)
    return refusal.value.reason


ODD_NAMES = ["a.png", "b/c d.png", "b/ü+%41.png", "b/e/f&=#.dcm"]


def test_lists_every_object_once_with_its_size(place: Place) -> None:
    for size, name in enumerate(ODD_NAMES):
        place.put(name, b"x" * size)
    found = listed(place.root)
    assert {o.uri.removeprefix(place.root + "/"): o.size for o in found} == {
        name: size for size, name in enumerate(ODD_NAMES)
    }
    assert len({o.etag for o in found} - {""}) == len(found)
    assert all(o.modified > 1.7e9 for o in found)


def test_reads_what_was_listed(place: Place) -> None:
    contents = {name: name.encode() * 99 for name in ODD_NAMES}
    for name, data in contents.items():
        place.put(name, data)
    read = {o.uri.removeprefix(place.root + "/"): read_object(o, SETTINGS, LIMIT) for o in listed(place.root)}
    assert read == contents


def test_empty_objects_are_read_as_such(place: Place) -> None:
    place.put("empty", b"")
    (stored,) = listed(place.root)
    assert read_object(stored, SETTINGS, LIMIT) == b""


def test_an_object_replaced_since_it_was_listed_is_changed(place: Place) -> None:
    place.put("a.png", b"first")
    (stored,) = listed(place.root)
    place.put("a.png", b"second, and longer")
    assert reason_for_reading(stored) is Reason.CHANGED
    assert listed(place.root)[0].etag != stored.etag


def test_an_object_that_vanished_is_not_found(place: Place) -> None:
    place.put("a.png", b"first")
    (stored,) = listed(place.root)
    place.remove("a.png")
    assert reason_for_reading(stored) is Reason.NOT_FOUND


def test_a_large_object_is_refused_unread(place: Place) -> None:
    place.put("a.png", b"0123456789")
    (stored,) = listed(place.root)
    assert reason_for_reading(stored, limit=9) is Reason.TOO_LARGE
    assert read_object(stored, SETTINGS, 10) == b"0123456789"


def test_same_size_and_other_content_is_changed(place: Place) -> None:
    place.put("a.png", b"first")
    (stored,) = listed(place.root)
    assert reason_for_reading(replace(stored, etag="another")) is Reason.CHANGED


def test_one_file_is_an_archive_of_its_own(tmp_path: Path) -> None:
    Folder(tmp_path / "archive").put("a.png", b"abc")
    (stored,) = listed(str(tmp_path / "archive/a.png"))
    assert read_object(stored, SETTINGS, LIMIT) == b"abc"


def test_ids_of_a_folder_do_not_depend_on_how_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Folder(tmp_path / "archive").put("a.png", b"abc")
    monkeypatch.chdir(tmp_path)
    assert listed("archive") == listed("./archive/") == listed(str(tmp_path / "archive"))


def test_the_output_is_not_listed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "archive")
    folder.put("a.png", b"abc")
    folder.put("results/slices/part.parquet", b"x")
    found = listed(folder.root, skip=f"{folder.root}/results")
    assert [Path(o.uri).name for o in found] == ["a.png"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScreeningError, match="nowhere") as refusal:
        listed(str(tmp_path / "nowhere"))
    assert refusal.value.reason is Reason.NOT_FOUND


@pytest.mark.integration
def test_a_prefix_of_many_pages_is_listed_whole(s3: S3Server) -> None:
    bucket, client = s3.bucket(), s3.client()
    names = [f"{bucket}/many/{i:04}" for i in range(1003)]
    client.pipe(dict.fromkeys(names, b""))
    client.pipe_file(f"{bucket}/many-others", b"")
    client.touch(f"{bucket}/many/folder-marker/")
    assert [o.uri for o in listed(f"s3://{bucket}/many/")] == [f"s3://{name}" for name in names]


@pytest.mark.integration
@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_keys_are_denied(s3: S3Server, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place = Bucket(s3)
    place.put("a.png", b"abc")
    (stored,) = listed(place.root)
    monkeypatch.setenv(name, "wrong")
    with s3.fresh_clients():
        assert reason_for_reading(stored) is Reason.DENIED
        with pytest.raises(ScreeningError) as refusal:
            listed(place.root)
        assert refusal.value.reason is Reason.DENIED


@pytest.mark.integration
def test_without_keys_denied(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Bucket(s3)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with s3.fresh_clients(), pytest.raises(ScreeningError) as refusal:
        listed(place.root)
    assert refusal.value.reason is Reason.DENIED


@pytest.mark.integration
def test_a_missing_bucket_is_not_found(s3: S3Server) -> None:
    with pytest.raises(ScreeningError) as refusal:
        listed("s3://no-such-bucket/prefix")
    assert refusal.value.reason is Reason.NOT_FOUND


def test_a_server_that_does_not_answer_is_an_error_that_may_pass() -> None:
    closed = StorageSettings(endpoint_url="http://127.0.0.1:1", tries=1, connect_timeout=2, anonymous=True)
    with pytest.raises(ScreeningError) as refusal:
        list(list_objects("s3://bucket/prefix", closed))
    assert refusal.value.reason in {Reason.IO_ERROR, Reason.TIMEOUT}


def test_what_may_pass_is_tried_again() -> None:
    answers: Iterator[object] = iter([OSError("reset"), TimeoutError(), b"data"])

    def call() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert with_retries(call, tries=3) == b"data"


@pytest.mark.parametrize(
    ("error", "calls", "reason"),
    [
        (OSError("reset"), 2, Reason.IO_ERROR),
        (TimeoutError(), 2, Reason.TIMEOUT),
        (BlockingIOError(11, "slow down"), 2, Reason.THROTTLED),
        (PermissionError("no"), 1, Reason.DENIED),
        (FileNotFoundError("no"), 1, Reason.NOT_FOUND),
        (ScreeningError(Reason.CHANGED), 1, Reason.CHANGED),
    ],
)
def test_tries_depend_on_the_reason(error: Exception, calls: int, reason: Reason) -> None:
    made = []

    def call() -> None:
        made.append(1)
        raise error

    with pytest.raises(ScreeningError) as refusal:
        with_retries(call, tries=2)
    assert (len(made), refusal.value.reason) == (calls, reason)
    assert reason_of(refusal.value) is reason


def test_s3_addresses_are_split() -> None:
    assert split_s3("s3://bucket/a/b c") == ("bucket", "a/b c")
    assert split_s3("s3://bucket") == ("bucket", "")
