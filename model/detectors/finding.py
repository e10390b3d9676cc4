"""The folder of a bundle by the name that a user gives."""

import logging
import os
import shutil
from pathlib import Path

from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.embedded import embedded_bundle
from s2sw.model.errors import BundleError
from s2sw.schemas.config import EMBEDDED

log = logging.getLogger(__name__)


def resolve_bundle(bundle: str) -> Path:
    """Return the folder of a bundle; ``embedded`` is built on first use and kept in the user's cache."""
    if bundle != EMBEDDED:
        return Path(bundle)
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "s2sw"
    try:
        return _whole(cache)
    except OSError as error:
        raise BundleError(
            f"cannot keep the embedded bundle in {cache} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error


def _whole(cache: Path) -> Path:
    """Return the embedded bundle, made anew where the one in the cache was cut or changed."""
    try:
        folder = embedded_bundle(cache)
        read_record(folder)
    except BundleError as error:
        log.warning("%s", f"{error}: it is made anew")
        for damaged in cache.glob(f"{EMBEDDED}-*"):
            shutil.rmtree(damaged)
        return embedded_bundle(cache)
    return folder
