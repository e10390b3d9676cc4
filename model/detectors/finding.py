"""The folder of a bundle by the name that a user gives."""

import hashlib
import logging
import os
import shutil
from pathlib import Path

from s2sw.model.bundles.record import RECORD, file_sha256, read_record
from s2sw.model.errors import BundleError
from s2sw.model.weights.shipped_files import HEAD, STEM
from s2sw.schemas.cache import cache_folder
from s2sw.schemas.config import EMBEDDED

log = logging.getLogger(__name__)


def resolve_bundle(bundle: str) -> Path:
    """Return the folder of a bundle; ``embedded`` is built on first use and kept in the user's cache."""
    if bundle != EMBEDDED:
        return Path(bundle)
    cache = cache_folder()
    try:
        return _whole(cache)
    except OSError as error:
        raise BundleError(
            f"cannot keep the embedded bundle in {cache} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error


def _whole(cache: Path) -> Path:
    """Return the embedded bundle, made again where the one in the cache was cut or changed."""
    try:
        folder = embedded_bundle(cache)
        read_record(folder)
    except BundleError as error:
        log.warning("%s", f"{error}: it is made again")
        for damaged in cache.glob(f"{EMBEDDED}-*"):
            shutil.rmtree(damaged)
        return embedded_bundle(cache)
    return folder


def embedded_bundle(cache_dir: Path) -> Path:
    """Return the folder of the embedded bundle, building it in cache_dir once, atomically."""
    both = hashlib.sha256((file_sha256(STEM) + file_sha256(HEAD)).encode()).hexdigest()
    out = Path(cache_dir) / f"{EMBEDDED}-{both[:12]}"
    if (out / RECORD).is_file():
        read_record(out, check_weights=False)  # whoever loads it checks the weights
        return out
    # here: they import torch, which takes seconds
    from s2sw.model.detectors.embedded import bundle_of
    from s2sw.model.weights.tensors import read_tensors

    build = out.with_name(f"{out.name}-{os.getpid()}")
    bundle_of(read_tensors(STEM), read_tensors(HEAD), build)
    try:
        build.rename(out)
    except OSError:  # another process was first; both builds are the same
        read_record(out)
        shutil.rmtree(build)
    return out
