"""Which Ray cluster ``auto`` means.

Ray itself takes the one of any process of this machine whose command line looks like Ray's, or the one named
in a file of a folder that everybody may write to. Whoever runs the other end can run code in this process.
"""

import os
import stat
from pathlib import Path
from typing import Any

from ray._private import utils as ray_utils
from ray._private.ray_constants import RAY_ADDRESS_ENVIRONMENT_VARIABLE

from s2sw.schemas.errors import UserError

AUTO = "auto"
_BYTES = 256  # of an address at most


def cluster_address(address: str) -> str:
    """Return the address, and for ``auto`` that of the environment or of what this account or root started.

    Raises UserError where there is none.
    """
    if address != AUTO:
        return address
    found = os.environ.get(RAY_ADDRESS_ENVIRONMENT_VARIABLE) or _started(_noted())
    if not found or found == AUTO:
        raise UserError(
            "cluster.address: auto finds no Ray that this account or root started with `ray start`; name its "
            "address, host:port"
        )
    return found


def _noted() -> Path:
    utils: Any = ray_utils  # its annotations do not name this
    return Path(utils.get_ray_address_file(None))


def _started(file: Path) -> str | None:
    """Return what ``ray start`` noted, unless somebody else may have written it."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        ours = status.st_uid in (os.getuid(), 0) and not status.st_mode & 0o022
        if not ours or not stat.S_ISREG(status.st_mode):
            return None
        return opened.read(_BYTES).decode("ascii", "replace").strip()
