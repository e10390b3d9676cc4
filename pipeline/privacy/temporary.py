"""Where temporary files go: a folder whose name leaves room for the names of sockets below it."""

import logging
import os
import tempfile
from pathlib import Path

from s2sw.schemas.errors import UserError

log = logging.getLogger(__name__)

SOCKET_NAME = 107
"""Bytes of a socket's address (unix(7)), its end left out."""
BELOW = len("/s2sw-abcdefgh/ray/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
"""Bytes that a session of Ray puts behind the folder."""
ROOM = SOCKET_NAME - BELOW
SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (a private folder is made below)


def temporary_root(configured: str | None) -> Path:
    """Return the folder for sessions: as configured, or the system's; a short one where its name is long.

    Raises UserError, naming the folder, where no temporary file can be made in it.
    """
    root = _usable(configured)
    if _fits(root):
        return root
    short = next((Path(one) for one in SHORT if os.access(one, os.W_OK | os.X_OK)), None)
    if short is None:
        raise UserError(f"temporary folder: the name {root} is too long for sockets; {ROOM} characters fit")
    log.info("%s", f"temporary files go to {short}: the name {root} is too long for sockets")
    return short


def _usable(configured: str | None) -> Path:
    if configured:
        if not os.access(configured, os.W_OK | os.X_OK):
            raise UserError(f"cluster.temp_dir: no temporary files can be made in {configured}")
        return Path(configured)
    try:
        found = Path(tempfile.gettempdir())
    except FileNotFoundError:  # Python has tried every place that it knows
        raise UserError(
            "temporary folder: neither TMPDIR nor /tmp can be written to; name a folder by TMPDIR"
        ) from None
    asked = os.environ.get("TMPDIR")
    if asked and Path(asked).absolute() != found.absolute():
        log.warning("%s", f"TMPDIR: no temporary files can be made in {asked}; they go to {found}")
    return found


def _fits(root: Path) -> bool:
    return len(os.fsencode(root.absolute())) <= ROOM
