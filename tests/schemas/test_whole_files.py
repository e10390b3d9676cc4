"""A file is there under its name whole or not at all."""

import os
from pathlib import Path
from typing import BinaryIO

import pytest

from s2sw.schemas.whole_files import BY_UMASK, whole_file, write_whole


def torn(file: BinaryIO) -> None:
    file.write(b"half")
    raise TypeError


def modes(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_its_owners_alone_unless_the_umask_may_decide(tmp_path: Path) -> None:
    write_whole(tmp_path / "key", b"secret")
    write_whole(tmp_path / "row", b"result", BY_UMASK)
    assert (modes(tmp_path / "key"), modes(tmp_path / "row")) == (0o600, 0o644)
    write_whole(tmp_path / "row", b"now private")  # the rights are the new file's
    assert modes(tmp_path / "row") == 0o600


def test_the_name_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
        (draft,) = set(tmp_path.iterdir()) - {path}
        assert draft.read_bytes() == b"after"
        assert modes(draft) == 0o600
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), whole_file(path) as file:
        torn(file)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_first_is_kept_where_none_may_be_replaced(tmp_path: Path) -> None:
    write_whole(tmp_path / "key", b"mine", replace=False)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "key", b"theirs", replace=False)
    assert (tmp_path / "key").read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [tmp_path / "key"]


def test_bytes_are_on_the_disk_before_the_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut leaves: never a name without its bytes."""
    synced: list[list[str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(sorted(path.name for path in tmp_path.iterdir()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(tmp_path / "part", b"bytes")
    (draft,), last = synced
    assert draft.startswith(".tmp-")
    assert last == ["part"]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / "state").symlink_to(tmp_path / "victim")
    write_whole(tmp_path / "state", b"new")
    assert (tmp_path / "victim").read_bytes() == b"kept"
    assert not (tmp_path / "state").is_symlink()
