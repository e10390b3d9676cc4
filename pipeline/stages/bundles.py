"""Bundles in object storage: one download a machine into a cache, checked by SHA-256 whenever one is used."""

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s2sw.connectors.storage.objects import stat_object
from s2sw.connectors.storage.retries import with_retries
from s2sw.connectors.storage.s3 import is_s3, read_range, read_start
from s2sw.model.bundles.record import RECORD, WEIGHTS, read_record
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.errors import BundleError
from s2sw.pipeline.privacy.ids import check_private_folder
from s2sw.schemas.cache import cache_folder
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

log = logging.getLogger(__name__)

RECORD_BYTES = 16 << 20
"""Of a bundle's record at most."""
CHUNK = 16 << 20
WORDS = {
    Reason.NOT_FOUND: "it does not exist",
    Reason.DENIED: "permission denied",
    Reason.CHANGED: "it changed",
}


@dataclass(frozen=True)
class RemoteBundle:
    """A bundle that every machine gets by itself: from S3, or the embedded one, which comes with the package.

    digest: SHA-256 of its record, so that all machines of a run take the same one.
    """

    address: str
    storage: StorageSettings
    digest: str

    @classmethod
    def of(cls, bundle: str, storage: StorageSettings, folder: Path) -> "RemoteBundle":
        """Return what other machines get the bundle by that lies in the folder here."""
        return cls(bundle, storage, _digest(folder))


def bundle_folder(bundle: str, storage: StorageSettings) -> Path:
    """Return the folder of a bundle, fetched if it lies on S3. Raises BundleError."""
    if not is_s3(bundle):
        return resolve_bundle(bundle)
    record = _record(bundle, storage)
    return _cached(RemoteBundle(bundle, storage, hashlib.sha256(record).hexdigest()))


def fetched(bundle: RemoteBundle) -> Path:
    """Return this machine's folder of a bundle, whole. Raises BundleError."""
    if is_s3(bundle.address):
        return _cached(bundle)
    folder = resolve_bundle(bundle.address)
    if _digest(folder) != bundle.digest:
        raise BundleError(f"{bundle.address}: is another one here; install the same s2sw on all machines")
    return folder


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()


def _cached(bundle: RemoteBundle) -> Path:
    """Return the bundle in the cache; the first process of a machine to need it fetches it, others wait."""
    cache = cache_folder() / "bundles"
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private_folder(cache, "XDG_CACHE_HOME")
        folder = cache / bundle.digest[:32]
        with _locked(folder.with_suffix(".lock")):
            if not _is_whole(folder, bundle):
                shutil.rmtree(folder, ignore_errors=True)
                _fetch(bundle, folder)
    except OSError as error:
        raise BundleError(
            f"cannot keep {bundle.address} in {cache} ({error.strerror}); set XDG_CACHE_HOME"
        ) from error
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_whole(folder: Path, bundle: RemoteBundle) -> bool:
    if not folder.is_dir():
        return False
    try:
        if _digest(folder) == bundle.digest:
            read_record(folder)
            return True
    except (BundleError, OSError) as error:
        log.warning("%s", f"{error}: it is fetched again")
    return False


def _fetch(bundle: RemoteBundle, folder: Path) -> None:
    """Write the bundle's files beside the folder, check them, and rename that into its place."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        record = _record(bundle.address, bundle.storage)
        if hashlib.sha256(record).hexdigest() != bundle.digest:
            raise BundleError(f"{bundle.address}: replaced while the run started; start it again")
        (draft / RECORD).write_bytes(record)
        _download(f"{bundle.address.rstrip('/')}/{WEIGHTS}", bundle.storage, draft / WEIGHTS)
        read_record(draft)
        draft.rename(folder)
    except BundleError as error:
        raise BundleError(f"{bundle.address}: {str(error).replace(f'{draft}', 'the copy')}") from error
    except ScreeningError as error:
        raise _unreadable(bundle.address, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _download(uri: str, storage: StorageSettings, path: Path) -> None:
    stored = stat_object(uri, storage)
    with path.open("xb") as file:
        for start in range(0, stored.size, CHUNK):
            file.write(read_range(stored, storage, start, CHUNK))
        file.flush()
        os.fsync(file.fileno())


def _record(address: str, storage: StorageSettings) -> bytes:
    uri = f"{address.rstrip('/')}/{RECORD}"
    try:
        data = with_retries(lambda: read_start(uri, storage, RECORD_BYTES + 1), storage.tries)
    except ScreeningError as error:
        raise _unreadable(address, error) from error
    if len(data) > RECORD_BYTES:
        raise BundleError(f"{address}: its {RECORD} has more than {RECORD_BYTES >> 20} MiB; build it again")
    return data


def _unreadable(address: str, error: ScreeningError) -> BundleError:
    why = WORDS.get(error.reason) or error.detail or error.reason.value
    return BundleError(f"{address}: cannot be read ({why}); give a prefix that a built bundle was copied to")
