"""The folder of a user's files that can be made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return ``s2sw`` in the user's cache, ``$XDG_CACHE_HOME`` or ``~/.cache``; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "s2sw"
