"""A private folder in object storage: one key whoever comes first, and a crosswalk that outlives machines."""

import threading
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from s2sw.connectors.outputs.s3 import UNCONDITIONAL, S3Output
from s2sw.connectors.storage.s3 import s3_filesystem
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import KEY_ENV, KEY_FILE, KeyFileError
from s2sw.pipeline.privacy.private_bucket import PrivateBucket, open_inside
from s2sw.pipeline.privacy.private_dir import Inside, new_run_id
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import MANIFEST
from tests.support.s3server import S3Server

pytestmark = pytest.mark.integration

SETTINGS = StorageSettings()


@pytest.fixture
def address(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://{s3.bucket()}/private/"


def opened(address: str) -> PrivateBucket:
    inside = open_inside(address, SETTINGS)
    assert isinstance(inside, PrivateBucket)
    return inside


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    assert open_inside(str(tmp_path), SETTINGS) == Inside(tmp_path)
    assert open_inside(None, SETTINGS) == Inside.of(None)


def test_all_that_start_at_once_have_one_key(address: str, s3: S3Server) -> None:
    inside = opened(address)
    assert inside.key() is None
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(inside.make_key())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert {*keys, inside.key()} == {bytes.fromhex(s3.client().cat(f"{inside.address}/{KEY_FILE}").decode())}
    assert not list(inside.folder.glob("**/*"))


def test_a_key_of_the_environment_is_not_kept(
    address: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "ab" * 32)
    assert opened(address).make_key() == b"\xab" * 32
    assert not s3.client().exists(f"{address}{KEY_FILE}")


def test_what_is_no_key_or_cannot_be_read_is_said_in_a_line(
    address: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client().pipe_file(f"{address}{KEY_FILE}", b"short")
    with pytest.raises(KeyFileError, match=f"{KEY_FILE} is no key"):
        opened(address).key()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3_filesystem.cache_clear()
    with pytest.raises(KeyFileError, match=r"private_dir: s3://.* cannot be used"):
        opened(address).key()


def test_a_crosswalk_is_found_from_another_machine(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, run = opened(address), new_run_id()
    state = inside.open_state("s3://results/", run)
    stored = StoredObject("s3://archive/secret.png", 1, "e", 0.0)
    row = {"object_id": "a", **asdict(stored)}
    Todo.write(state.crosswalk(0), [pa.RecordBatch.from_pylist([row], MANIFEST)], 1)
    state.keep()
    state.clear()
    assert not [path for path in inside.folder.rglob("*") if path.is_file()]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    (path,) = opened(address).crosswalk_files(run)
    assert pa.parquet.read_table(path).to_pylist()[0]["uri"] == stored.uri
    assert path.is_relative_to(tmp_path / "elsewhere")
    assert opened(address).crosswalk_files(new_run_id()) == []
    assert opened(address).crosswalk_files("*") == []


def test_names_that_lead_elsewhere_are_not_fetched(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run_id()
    names = [f"crosswalk/{run}/{name}.parquet" for name in ("../../../x", "a/b", "", "a b", ".")]
    monkeypatch.setattr(S3Output, "sizes", lambda *_: dict.fromkeys(names, 4))
    bucket = opened(address)
    assert bucket.crosswalk_files(run) == []
    assert not (bucket.folder / "fetched").exists()


def test_scopes_are_noted_in_the_bucket(address: str) -> None:
    scope = opened(address).scopes().make("s3://results/")
    assert opened(address).scopes().output_of(scope) == "s3://results"
    assert opened(address).scopes().output_of("a" * 26) is None
    with pytest.raises(ValueError, match="no scope"):
        opened(address).scopes().output_of("../id.key")


@pytest.mark.parametrize(
    ("output", "overlaps"),
    [("s3://b/private/results", True), ("s3://b/", True), ("s3://b/privateer", False), ("/results", False)],
)
def test_results_lie_elsewhere(output: str, overlaps: bool) -> None:
    assert opened("s3://b/private/").overlaps(output) == overlaps


def test_a_server_without_conditional_writes_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(address).check_writable()
    monkeypatch.setattr(S3Output, "create", lambda self, name, data: self.write(name, data) is None)
    with pytest.raises(ScreeningError) as caught:
        opened(address).check_writable()
    assert caught.value.detail == UNCONDITIONAL


def test_encryption_is_asked_for(s3: S3Server) -> None:
    root = f"s3://{s3.bucket()}/x"
    S3Output(root, StorageSettings(encryption="AES256")).write("a", b"1")
    head = s3.client().call_s3("head_object", Bucket=root.split("/")[2], Key="x/a")
    assert head["ServerSideEncryption"] == "AES256"
    with pytest.raises(ScreeningError):  # this server has no such key
        S3Output(root, StorageSettings(encryption="aws:kms", kms_key="arn:one", tries=1)).write("b", b"1")
