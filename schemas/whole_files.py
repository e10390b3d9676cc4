"""Files that are there under their names whole or not at all, whatever ends the process that writes them."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp-"
"""Prefix of files not yet whole; readers of Parquet folders skip names that start with a dot."""
OWNER = 0o600
"""Mode of a file that its owner alone may read."""
BY_UMASK = 0o666
"""Mode of a file that the process' umask decides about."""


@contextlib.contextmanager
def whole_file(path: Path, mode: int = OWNER, replace: bool = True) -> Iterator[BinaryIO]:
    """Open a file to write that gets its name when the block ends, after its bytes are on the disk.

    Where the block raises, what was there stays and nothing is added. The folder must exist. mode: of the
    file, less the umask. replace: whether it takes the place of another one; if not, raises FileExistsError
    where there is one. Raises OSError.
    """
    # not the pid: two containers that share a disk may each have the same one
    draft = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}-{path.name}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # unlike a rename, refuses to replace
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_whole(path: Path, data: bytes, mode: int = OWNER, replace: bool = True) -> None:
    """Write a file in one step; as ``whole_file``."""
    with whole_file(path, mode, replace) as file:
        file.write(data)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)
