"""Where the files of an export go. Unlike results they can be made again, so nothing waits for the disk."""

from pathlib import Path


class Folder:
    """Files by name below a local folder, which is made when the first one is written."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, data: bytes) -> None:
        """Write a file; names use forward slashes (``images/00001.png``). Raises OSError.

        Raises ValueError for a name that could lead out of the folder, whoever made it.
        """
        if {"", ".", ".."} & set(name.split("/")):
            raise ValueError(f"{name[:80]!r} is no name of a file of an export")
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
