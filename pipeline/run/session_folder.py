"""The folder of one run for whatever is temporary: the owner's alone, and removed at the end."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from s2sw.pipeline.ledger.process_mark import is_dead, process_mark
from s2sw.pipeline.privacy.temporary import temporary_root
from s2sw.schemas.config import ClusterSettings

FOLDER_PREFIX = "s2sw-"
OWNER = "owner.json"
REMADE_SECONDS = 10.0
"""A folder that is so old and has no owner is not being made."""


@contextlib.contextmanager
def session_folder(settings: ClusterSettings) -> Iterator[Path]:
    """Make the folder for one run, readable by its owner only, and remove it with all that is in it."""
    wipe_abandoned(settings)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=temporary_root(settings.temp_dir)))
    (folder / OWNER).write_text(json.dumps(process_mark()))
    temporary_in(folder).mkdir(mode=0o700)
    try:
        yield folder
    finally:
        _remove(folder)
        wipe_abandoned(settings)  # processes of a killed run may have written while its folder was removed


def temporary_in(folder: Path) -> Path:
    """Return the part of a session's folder that libraries put their temporary files into."""
    return folder / "tmp"


def wipe_abandoned(settings: ClusterSettings) -> None:
    """Remove what killed runs left behind: their sessions may hold pixels. Raises UserError."""
    for folder in temporary_root(settings.temp_dir).glob(f"{FOLDER_PREFIX}*"):
        if _is_abandoned(folder):
            _remove(folder)


def _is_abandoned(folder: Path) -> bool:
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        if (folder / OWNER).exists():
            return is_dead(json.loads((folder / OWNER).read_text()))
        return _holds_a_session_only(folder) and time.time() - folder.stat().st_mtime > REMADE_SECONDS
    except (OSError, ValueError):  # another run is removing it, or has just made it
        return False


def _holds_a_session_only(folder: Path) -> bool:
    """Tell what dying processes of Ray make again after it was removed from any other folder."""
    sessions = [child.name for child in folder.glob("ray/*")]
    alone = [child.name for child in folder.iterdir()] == ["ray"]
    return alone and bool(sessions) and all(name.startswith("session_") for name in sessions)


def _remove(folder: Path) -> None:
    """Remove a session's folder, the mark last: so what a dying process writes meanwhile is found again."""
    with contextlib.suppress(OSError):  # another run removes it, too
        for child in folder.iterdir():
            if child.name != OWNER:
                shutil.rmtree(child, ignore_errors=True)
        if not {child.name for child in folder.iterdir()} - {OWNER}:
            (folder / OWNER).unlink(missing_ok=True)
            folder.rmdir()
