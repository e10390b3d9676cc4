"""The key and the private folder are this account's, or nothing is done with them."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.privacy.ids import KEY_FILE, KeyFileError
from s2sw.pipeline.privacy.private_dir import Inside, new_run_id

STRANGER = 12345
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another account")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    return private


def refused(folder: Path, words: str) -> None:
    inside = Inside(folder)
    for use in (
        inside.key, inside.make_key, lambda: inside.open_state("/out", new_run_id()),
        lambda: inside.crosswalk_files(new_run_id()),
    ):  # fmt: skip
        with pytest.raises(KeyFileError, match=words) as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o720, 0o702])
def test_a_folder_that_others_may_write_to(folder: Path, mode: int) -> None:
    Inside(folder).make_key()
    folder.chmod(mode)
    refused(folder, "others may write to")


@needs_root
def test_a_folder_of_another_account(folder: Path) -> None:
    os.chown(folder, STRANGER, STRANGER)
    refused(folder, "belongs to another account")


def test_a_folder_that_is_a_file_or_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "is no folder")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "link", "is a broken link")


@needs_root
def test_a_key_of_another_account(folder: Path) -> None:
    Inside(folder).make_key()
    os.chown(folder / KEY_FILE, STRANGER, STRANGER)
    with pytest.raises(KeyFileError, match="belongs to another account"):
        Inside(folder).key()


def test_a_key_that_leads_nowhere_is_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / KEY_FILE).symlink_to(tmp_path / "nowhere")
    for use in (Inside(folder).key, Inside(folder).make_key):
        with pytest.raises(KeyFileError, match="is a broken link"):
            use()
    arguments = [
        "boundary",
        "check",
        str(tmp_path),
        "-o",
        str(tmp_path / "out"),
        "--private-dir",
        str(folder),
    ]
    done = CliRunner().invoke(app, arguments)
    assert "is a broken link" in done.output
    assert "Traceback" not in done.output


def test_a_key_that_is_no_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / KEY_FILE, 0o600)
    with pytest.raises(KeyFileError, match="is no file"):
        Inside(folder).key()


def test_a_link_to_a_key_of_ours_is_followed(folder: Path, tmp_path: Path) -> None:
    """Secrets are mounted so."""
    key = Inside(folder).make_key()
    (folder / KEY_FILE).rename(tmp_path / "secret")
    (folder / KEY_FILE).symlink_to(tmp_path / "secret")
    assert Inside(folder).key() == key
