"""The folder of one run for whatever is temporary, in a folder that others may write to: made, and wiped.

Everything goes by open folders and never by a path twice: what somebody else put there, a link above all, is
not followed, and only what belongs to this account and cannot be written by others is touched.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s2sw.pipeline.ledger.process_mark import is_dead, process_mark
from s2sw.pipeline.privacy.temporary import temporary_root
from s2sw.pipeline.run.ray_processes import end_orphans
from s2sw.schemas.config import ClusterSettings

FOLDER_PREFIX = "s2sw-"
OWNER = "owner.json"
OWNER_BYTES = 4096
MADE_SECONDS = 10.0
"""An empty folder that is so old is not being made."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def session_folder(settings: ClusterSettings) -> Iterator[Path]:
    """Make the folder for one run, this account's alone, and remove it with all that is in it."""
    wipe_abandoned(settings)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=temporary_root(settings.temp_dir)))
    (folder / OWNER).write_text(json.dumps(process_mark()))
    temporary_in(folder).mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove_folder(folder)
        wipe_abandoned(settings)  # processes of a killed run may have written while its folder was removed


def temporary_in(folder: Path) -> Path:
    """Return the part of a session's folder that libraries put their temporary files into."""
    return folder / "tmp"


def wipe_abandoned(settings: ClusterSettings) -> None:
    """Remove what killed runs left behind: their sessions may hold pixels. Raises UserError."""
    wipe_folders(temporary_root(settings.temp_dir))


def wipe_folders(root: Path) -> None:
    """Remove sessions' folders whose runs are dead, and end what is left of those; no link is followed."""
    with contextlib.suppress(OSError), _opened(root) as parent:
        for name in _names(parent):
            if name.startswith(FOLDER_PREFIX) and _is_abandoned(parent, name):
                end_orphans(root / name)
                _remove(parent, name)


def _remove_folder(folder: Path) -> None:
    """Remove a session's folder; what its dying processes still write there is left to ``wipe_abandoned``."""
    with contextlib.suppress(OSError), _opened(folder.parent) as parent:
        _remove(parent, folder.name)


@contextlib.contextmanager
def _opened(
    folder: str | Path, flags: int = os.O_RDONLY | os.O_DIRECTORY, at: int | None = None
) -> Iterator[int]:
    descriptor = os.open(folder, flags, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _names(folder: int) -> list[str]:
    return os.listdir(folder)


@contextlib.contextmanager
def _own(parent: int, name: str) -> Iterator[int]:
    """Open a folder of this account. Raises PermissionError for one that others own or may write to."""
    with _opened(name, _FOLDER, parent) as folder:
        status = os.fstat(folder)
        if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError
        yield folder


def _is_abandoned(parent: int, name: str) -> bool:
    try:
        with _own(parent, name) as folder:
            if OWNER in _names(folder):
                return is_dead(_mark(folder))
            if _holds_a_session_only(folder):  # Ray is started when the folder has its owner
                return True
            age = time.time() - os.fstat(folder).st_mtime
            return age > MADE_SECONDS and _is_unfinished(folder, name)
    # being made or removed, or not what a run makes
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _mark(folder: int) -> dict[str, Any]:
    descriptor = os.open(OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        mark: dict[str, Any] = json.loads(file.read(OWNER_BYTES))
    return mark


def _is_unfinished(folder: int, name: str) -> bool:
    """Tell the folder of a run that was killed before it had an owner."""
    return re.fullmatch(f"{FOLDER_PREFIX}[a-z0-9_]{{8}}", name) is not None and not _names(folder)


def _holds_a_session_only(folder: int) -> bool:
    """Tell what dying processes of Ray make again after it was removed from any other folder."""
    if _names(folder) != ["ray"]:
        return False
    with _opened("ray", _FOLDER, folder) as inner:
        sessions = _names(inner)
    return bool(sessions) and all(name.startswith("session_") for name in sessions)


def _remove(parent: int, name: str) -> None:
    """Remove a folder, the mark last: so what a dying process writes meanwhile is found again."""
    with contextlib.suppress(OSError):  # another run removes it, too
        with _own(parent, name) as folder:
            for child in _names(folder):
                if child != OWNER:
                    _remove_child(folder, child)
            if set(_names(folder)) - {OWNER}:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(OWNER, dir_fd=folder)
        os.rmdir(name, dir_fd=parent)


def _remove_child(folder: int, name: str) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)  # never follows a link
    else:
        os.unlink(name, dir_fd=folder)
