"""What is no plain file in a local source: links, pipes, devices, twins, sparse files, files in motion."""

import errno
import os
import socket
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from s2sw.connectors.storage.local import read_local
from s2sw.connectors.storage.objects import list_objects, read_object, stat_object
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

SETTINGS = StorageSettings(tries=2)
LIMIT = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "plain.png").write_bytes(b"plain")
    return folder


def listed(source: Path) -> dict[str, StoredObject]:
    return {
        str(Path(one.uri).relative_to(source.resolve())): one for one in list_objects(str(source), SETTINGS)
    }


def end(stored: StoredObject) -> bytes | Reason:
    """Return the bytes of an object, or the reason why there are none."""
    try:
        return read_object(stored, SETTINGS, LIMIT)
    except ScreeningError as error:
        return error.reason


def test_links_have_rows_of_their_own(source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "far.png").write_bytes(b"far")
    (source / "inner").mkdir()
    (source / "inner/near.png").write_bytes(b"near")
    links = {
        "to-inside": "plain.png", "to-outside": elsewhere / "far.png", "dangling": "nowhere.png",
        "circle-a": "circle-b", "circle-b": "circle-a", "itself": "itself", "folder-inside": "inner",
        "folder-outside": elsewhere, "up": "..", "null": "/dev/null", "through": "plain.png/below",
    }  # fmt: skip
    for name, target in links.items():
        (source / name).symlink_to(target)
    ends = {name: end(stored) for name, stored in listed(source).items()}
    assert ends == {
        "plain.png": b"plain", "inner/near.png": b"near", "to-inside": b"plain", "to-outside": b"far",
        "dangling": Reason.NOT_FOUND, "circle-a": Reason.NOT_FOUND, "circle-b": Reason.NOT_FOUND,
        "itself": Reason.NOT_FOUND, "folder-outside": Reason.NOT_A_FILE, "up": Reason.NOT_A_FILE,
        "null": Reason.NOT_A_FILE, "through": Reason.NOT_FOUND,
    }  # fmt: skip


def test_a_linked_folder_that_holds_the_source_is_no_circle(source: Path) -> None:
    (source / "circle").symlink_to(source)
    (source / "deep").mkdir()
    (source / "deep/circle").symlink_to("../deep")
    assert set(listed(source)) == {"plain.png"}


@pytest.mark.timeout(30)
def test_pipes_sockets_and_devices_are_not_waited_for(source: Path) -> None:
    os.mkfifo(source / "pipe")
    (source / "to-pipe").symlink_to("pipe")
    (source / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        try:
            os.chdir(source)  # a socket's name has 107 bytes at most
            server.bind("socket")
        finally:
            os.chdir(here)
        found = listed(source)
        assert set(found) == {"plain.png", "pipe", "to-pipe", "zero", "socket"}
        assert {end(found[name]) for name in found if name != "plain.png"} == {Reason.NOT_A_FILE}
        assert stat_object(found["plain.png"].uri, SETTINGS) == found["plain.png"]


@pytest.mark.timeout(30)
def test_a_file_that_became_a_pipe_is_not_waited_for(source: Path) -> None:
    stored = listed(source)["plain.png"]
    (source / "plain.png").unlink()
    os.mkfifo(source / "plain.png")
    assert end(stored) is Reason.NOT_A_FILE


@pytest.mark.parametrize("names", [
    ("scan.png", "Scan.png", "SCAN.PNG"),
    tuple(unicodedata.normalize(form, "M\u00fcller.png") for form in ("NFC", "NFD")),
])  # fmt: skip
def test_twins_by_case_or_normal_form_are_two_objects(source: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        (source / name).write_bytes(bytes([number]))
    found = listed(source)
    if len(found) < 1 + len(names):
        pytest.skip("this file system folds them")
    assert [end(found[name]) for name in names] == [bytes([number]) for number in range(len(names))]


def test_sparse_and_huge_files(source: Path) -> None:
    with (source / "huge.png").open("wb") as file:
        file.truncate(1 << 42)
    with (source / "sparse.png").open("wb") as file:
        file.truncate(1000)
    found = listed(source)
    assert (found["huge.png"].size, end(found["huge.png"])) == (1 << 42, Reason.TOO_LARGE)
    assert end(found["sparse.png"]) == bytes(1000)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is rewritten"])
def test_a_file_that_moves_while_it_is_read_has_changed(
    source: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = source / "plain.png"
    stored = listed(source)["plain.png"]

    class Moving(BytesIO):
        """A file that changes as soon as somebody has read from it."""

        def __init__(self, number: int, mode: str) -> None:
            super().__init__(os.read(number, 100))
            self.number = number

        def fileno(self) -> int:
            return self.number

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            path.write_bytes({"grows": b"plain and more", "shrinks": b"pl", "is rewritten": b"other"}[change])
            os.utime(path, ns=(1, stored.size))
            return data

        def __exit__(self, *error: Any) -> None:
            os.close(self.number)

    monkeypatch.setattr("s2sw.connectors.storage.local.os.fdopen", Moving)
    with pytest.raises(ScreeningError) as caught:
        read_local(stored, SETTINGS)
    assert caught.value.reason is Reason.CHANGED


def test_a_file_that_grew_since_it_was_listed_has_changed(source: Path) -> None:
    stored = listed(source)["plain.png"]
    with (source / "plain.png").open("ab") as file:
        file.write(b"more")
    assert end(stored) is Reason.CHANGED


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter any folder")
def test_a_folder_that_may_be_read_and_not_entered(source: Path) -> None:
    closed = source / "closed"
    closed.mkdir()
    (closed / "inside.png").write_bytes(b"x")
    closed.chmod(0o444)
    try:
        assert end(listed(source)["closed/inside.png"]) is Reason.DENIED
    finally:
        closed.chmod(0o755)


def test_a_source_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScreeningError) as caught:
        list(list_objects(str(tmp_path / "pipe"), SETTINGS))
    assert caught.value.reason is Reason.NOT_A_FILE


def refusing(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let a folder be refused to whoever lists it, the superuser too."""
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path) == str(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_a_folder_that_cannot_be_listed_has_a_row_and_the_rest_is_listed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("closed", "open"):
        (source / name).mkdir()
        (source / name / "inside.png").write_bytes(b"inside")
    with monkeypatch.context() as patch:
        refusing(patch, source.resolve() / "closed")
        found = listed(source)
        assert {name: end(stored) for name, stored in found.items()} == {
            "plain.png": b"plain", "open/inside.png": b"inside", "closed": Reason.DENIED,
        }  # fmt: skip
    assert end(found["closed"]) is Reason.CHANGED  # mended: the next run lists what is in it
    assert set(listed(source)) == {"plain.png", "open/inside.png", "closed/inside.png"}


def test_a_root_that_cannot_be_listed_is_named(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, source.resolve())
    with pytest.raises(ScreeningError, match="source") as caught:
        listed(source)
    assert caught.value.reason is Reason.DENIED


def test_a_path_longer_than_the_system_takes_has_a_row(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source)
    for _ in range(20):
        Path("d" * 250).mkdir()
        os.chdir("d" * 250)
        Path("deep.png").write_bytes(b"deep")
    found = listed(source)
    ends = [end(stored) for stored in found.values()]
    assert Reason.IO_ERROR in ends
    assert set(ends) == {b"plain", b"deep", Reason.IO_ERROR}
    assert max(map(len, found)) < os.pathconf(source, "PC_PATH_MAX") + 250
