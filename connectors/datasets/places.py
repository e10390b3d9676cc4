"""Where a picture lies that a list names."""

from pathlib import Path

from s2sw.connectors.datasets.samples import DataSetError
from s2sw.connectors.storage.s3 import is_s3


def place_of(root: Path, named: str, where: str) -> str:
    """Return an address as it is, or the path of an existing file relative to root.

    where: what names it, for the error that says it is not there.
    """
    if is_s3(named):
        return named
    path = root / named
    try:
        found = path.is_file()
    except OSError:  # a name that is too long, a folder that may not be entered
        found = False
    if not found:
        raise DataSetError(f"{where} is {named!r}; there is no file {path}")
    return str(path)
