"""Which outputs have a key of their own: ``private_dir/output-keys/SCOPE``, one small file for each.

An output can be written to by others, the private folder cannot. So a scope that an audit log names is used
only where it was made here, and for the output that it was made for. A file holds that output's address; an
empty one is of no output yet and becomes that of the next run that asks.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.privacy.ids import ID_LENGTH, KeyFileError, check_private_folder
from s2sw.schemas.forms import is_object_id
from s2sw.schemas.whole_files import write_whole

FOLDER = "output-keys"
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True)
class OutputScopes:
    """The scopes of a private folder."""

    private_dir: Path

    def make(self, root: str) -> str:
        """Return a new random scope, 26 characters a-z2-7, noted for the output at this address."""
        scope = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
        self.note(scope, root)
        return scope

    def note(self, scope: str, root: str) -> None:
        """Note that a scope is that of the output at this address. Raises KeyFileError."""
        check_private_folder(self.private_dir)
        path = self.path(scope)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, os.fsencode(address_of(root)))
        except OSError as error:
            raise KeyFileError(f"private_dir: cannot write {path} ({error.strerror})") from None

    def output_of(self, scope: str) -> str | None:
        """Return the address of the output of a scope, "" where none is noted; None for an unknown scope."""
        check_private_folder(self.private_dir)
        try:
            return os.fsdecode(self.path(scope).read_bytes()).strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyFileError(f"{self.path(scope)} cannot be read ({error.strerror})") from None

    def place(self, scope: str) -> str:
        """Return where a scope is noted, for a message."""
        return str(self.path(scope))

    def path(self, scope: str) -> Path:
        """Return where a scope is noted. Raises ValueError for what is none: it may be a path."""
        if not is_object_id(scope):
            raise ValueError(f"{scope[:40]!r} is no scope of a key")
        return self.private_dir / FOLDER / scope


def address_of(root: str) -> str:
    """Return the address of an output, the same from every folder and by every link."""
    return root.rstrip("/") if is_s3(root) else str(Path(root).resolve())
