"""The folder of a bundle by the name that a user gives."""

import os
from pathlib import Path

from s2sw.model.detectors.embedded import embedded_bundle
from s2sw.model.errors import BundleError
from s2sw.schemas.config import EMBEDDED


def resolve_bundle(bundle: str) -> Path:
    """Return the folder of a bundle; ``embedded`` is built on first use and kept in the user's cache."""
    if bundle != EMBEDDED:
        return Path(bundle)
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "s2sw"
    try:
        return embedded_bundle(cache)
    except OSError as error:
        raise BundleError(
            f"cannot keep the embedded bundle in {cache} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error
