"""What others put into a shared temporary folder is neither followed nor removed."""

import contextlib
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from s2sw.pipeline.ledger.process_mark import process_mark
from s2sw.pipeline.run import session_folder
from s2sw.pipeline.run.session_folder import FOLDER_PREFIX, OWNER, wipe_folders
from s2sw.schemas.config import ClusterSettings

DEAD = json.dumps({**process_mark(), "boot": "an earlier boot"})
STRANGER = 12345
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another account")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def valuable(tmp_path: Path) -> Path:
    """A folder of the user's that looks like what a killed run left."""
    folder = tmp_path / "valuable"
    (folder / "ray" / "session_1").mkdir(parents=True)
    (folder / OWNER).write_text(DEAD)
    (folder / "thesis.txt").write_text("years of work")
    (folder / "ray" / "session_1" / "results.parquet").touch()
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def abandoned(shared: Path, name: str = "dead") -> Path:
    folder = shared / f"{FOLDER_PREFIX}{name}"
    folder.mkdir(mode=0o700)
    (folder / OWNER).write_text(DEAD)
    return folder


def test_a_link_is_not_followed(shared: Path, valuable: Path) -> None:
    before = files(valuable)
    (shared / f"{FOLDER_PREFIX}link").symlink_to(valuable)
    (valuable / "only").mkdir()
    (shared / f"{FOLDER_PREFIX}remade").symlink_to(valuable / "only")
    (valuable / "only").rmdir()
    wipe_folders(shared)
    assert files(valuable) == before


def test_an_old_link_to_what_looks_like_a_session_is_not_followed(shared: Path, valuable: Path) -> None:
    (valuable / OWNER).unlink()
    (valuable / "thesis.txt").unlink()
    os.utime(valuable, (1, 1))
    before = files(valuable)
    (shared / f"{FOLDER_PREFIX}link").symlink_to(valuable)
    wipe_folders(shared)
    assert files(valuable) == before


@pytest.mark.parametrize("inside", ["ray", "tmp", "deeper"])
def test_links_inside_a_folder_of_ours_go_and_their_targets_stay(
    shared: Path, valuable: Path, inside: str
) -> None:
    before = files(valuable)
    folder = abandoned(shared)
    (folder / "deeper").mkdir()
    place = folder / "deeper" / "x" if inside == "deeper" else folder / inside
    place.symlink_to(valuable)
    wipe_folders(shared)
    assert not folder.exists()
    assert files(valuable) == before


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_folder_that_others_may_write_to_is_left(shared: Path, mode: int) -> None:
    folder = abandoned(shared)
    folder.chmod(mode)
    wipe_folders(shared)
    assert folder.exists()


def test_a_mark_that_is_a_link_is_not_read(shared: Path, tmp_path: Path) -> None:
    folder = abandoned(shared)
    (folder / OWNER).rename(tmp_path / "mark")
    (folder / OWNER).symlink_to(tmp_path / "mark")
    wipe_folders(shared)
    assert folder.exists()


MARKS = {"nothing": "", "a list": "[]", "cut": "{", "half": '{"host": 1}', "deep": "[" * 100_000, "one": "1"}


@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_is_none_keeps_the_folder(shared: Path, mark: str) -> None:
    folder = abandoned(shared)
    (folder / OWNER).write_text(MARKS[mark])
    wipe_folders(shared)
    assert folder.exists()


def test_a_mark_that_is_a_pipe_holds_nobody_up(shared: Path) -> None:
    folder = abandoned(shared)
    (folder / OWNER).unlink()
    os.mkfifo(folder / OWNER)
    wipe_folders(shared)
    assert folder.exists()


@needs_root
def test_a_folder_of_another_account_is_left(shared: Path) -> None:
    folder = abandoned(shared)
    os.chown(folder, STRANGER, STRANGER)
    wipe_folders(shared)
    assert folder.exists()


def test_a_folder_that_is_exchanged_meanwhile_costs_nothing_else(
    shared: Path, valuable: Path, tmp_path: Path
) -> None:
    """In a folder without the sticky bit anybody may exchange a name for another, at any time."""
    before = files(valuable)
    shared.chmod(0o777)
    ended = threading.Event()

    def exchange() -> None:
        name, aside = shared / f"{FOLDER_PREFIX}dead", shared / "aside"
        while not ended.is_set():
            try:
                name.rename(aside)
                name.symlink_to(valuable)
                name.unlink()
                aside.rename(name)
            except OSError:
                continue

    stranger = threading.Thread(target=exchange)
    stranger.start()
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            # made aside: what this test itself writes must not go through the stranger's link
            folder = abandoned(tmp_path)
            (folder / "ray" / "logs").mkdir(parents=True)
            with contextlib.suppress(OSError):
                folder.rename(shared / folder.name)
            shutil.rmtree(folder, ignore_errors=True)
            wipe_folders(shared)
    finally:
        ended.set()
        stranger.join()
    assert files(valuable) == before


def test_a_session_of_ours_is_closed_and_goes(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_folder, "temporary_root", lambda _: shared)  # the name is long for sockets
    with session_folder.session_folder(ClusterSettings()) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "ray").mkdir()
        (folder / "token").touch()
        wipe_folders(shared)
        assert folder.exists(), "its process lives"
    assert list(shared.iterdir()) == []
