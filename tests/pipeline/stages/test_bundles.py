"""A bundle on S3: one download a machine, whole or not at all, and a damaged copy is fetched again."""

import multiprocessing
import shutil
from pathlib import Path

import pytest

from s2sw.model.bundles.record import RECORD, WEIGHTS, file_sha256
from s2sw.model.errors import BundleError
from s2sw.pipeline.privacy.ids import KeyFileError
from s2sw.pipeline.stages import bundles
from s2sw.pipeline.stages.bundles import RemoteBundle, bundle_folder, fetched
from s2sw.schemas.config import EMBEDDED
from s2sw.schemas.storage import StorageSettings
from tests.support.s3server import S3Server

SETTINGS = StorageSettings()
PROCESSES = 4


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/s2sw/bundles"


@pytest.fixture
def address(s3: S3Server, bundle: Path) -> str:
    bucket = s3.bucket()
    for name in (RECORD, WEIGHTS):
        s3.client().put_file(str(bundle / name), f"{bucket}/models/small/{name}")
    return f"s3://{bucket}/models/small/"


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def test_a_bundle_is_fetched_once_and_whole(
    address: str, bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "CHUNK", 100_000)  # several requests
    folder = bundle_folder(address, SETTINGS)
    assert {path.name: file_sha256(path) for path in folder.iterdir()} == {
        path.name: file_sha256(path) for path in bundle.iterdir()
    }
    assert cache.stat().st_mode & 0o777 == 0o700
    again = RemoteBundle.of(address, SETTINGS, folder)

    monkeypatch.setattr(bundles, "_download", lambda *_: pytest.fail("fetched again"))
    assert bundle_folder(address.rstrip("/"), SETTINGS) == fetched(again) == folder
    assert folders(cache) == [folder]


def test_the_embedded_bundle_is_every_machines_own(embedded: Path, bundle: Path) -> None:
    assert fetched(RemoteBundle.of(EMBEDDED, SETTINGS, embedded)) == embedded
    with pytest.raises(BundleError, match="embedded: is another one here; install the same s2sw"):
        fetched(RemoteBundle.of(EMBEDDED, SETTINGS, bundle))


def _fetch_and_count(bundle: RemoteBundle, log: str, ready: "multiprocessing.synchronize.Barrier") -> None:
    real = bundles._download

    def counted(*arguments: object) -> None:
        with Path(log).open("a") as file:
            file.write("one\n")
        real(*arguments)

    bundles._download = counted
    ready.wait()
    fetched(bundle)


def test_processes_that_start_together_download_once(
    address: str, bundle: Path, cache: Path, tmp_path: Path
) -> None:
    place = RemoteBundle.of(address, SETTINGS, bundle)
    context = multiprocessing.get_context("spawn")
    ready, log = context.Barrier(PROCESSES), tmp_path / "log"
    started = [
        context.Process(target=_fetch_and_count, args=(place, str(log), ready)) for _ in range(PROCESSES)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * PROCESSES
    assert log.read_text() == "one\n"
    assert len(folders(cache)) == 1


def test_a_damaged_copy_is_fetched_anew(
    address: str, bundle: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundle_folder(address, SETTINGS)
    with (folder / WEIGHTS).open("r+b") as file:
        file.write(b"\xff" * 100)
    assert bundle_folder(address, SETTINGS) == folder
    assert file_sha256(folder / WEIGHTS) == file_sha256(bundle / WEIGHTS)
    assert "it is fetched again" in caplog.text
    (folder / RECORD).unlink()
    assert bundle_folder(address, SETTINGS) == folder


def test_what_is_no_whole_bundle_is_refused_and_leaves_nothing(
    address: str, bundle: Path, cache: Path, s3: S3Server
) -> None:
    weights = f"{address}{WEIGHTS}".removeprefix("s3://")
    s3.client().pipe_file(weights, (bundle / WEIGHTS).read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match=f"{address}: the copy/{WEIGHTS}: changed after"):
        bundle_folder(address, SETTINGS)
    s3.client().rm(weights)
    with pytest.raises(BundleError, match=r"cannot be read \(it does not exist\)"):
        bundle_folder(address, SETTINGS)
    with pytest.raises(BundleError, match=r"cannot be read \(it does not exist\)"):
        bundle_folder(f"{address}nowhere", SETTINGS)
    assert folders(cache) == []


def test_all_machines_take_the_bundle_that_the_run_began_with(
    address: str, bundle: Path, s3: S3Server, cache: Path
) -> None:
    place = RemoteBundle.of(address, SETTINGS, bundle)
    assert place is not None
    s3.client().pipe_file(f"{address}{RECORD}".removeprefix("s3://"), b"{}")
    with pytest.raises(BundleError, match="replaced while the run started"):
        fetched(place)


def test_a_cache_that_others_may_write_to_is_refused(address: str, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(KeyFileError, match="others may write to"):
        bundle_folder(address, SETTINGS)
    shutil.rmtree(cache)
    cache.parent.chmod(0o700)
    cache.write_text("a file")
    with pytest.raises(BundleError, match="set XDG_CACHE_HOME"):
        bundle_folder(address, SETTINGS)
