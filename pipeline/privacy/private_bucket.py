"""A private folder in object storage: key and crosswalks lie there, scratch files on this machine."""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from typing_extensions import override

from s2sw.connectors.outputs.s3 import S3Output
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.privacy.ids import (
    KEY_BYTES,
    KEY_FILE,
    KeyFileError,
    check_private_folder,
    environment_key,
    parse_key,
)
from s2sw.pipeline.privacy.output_scopes import FOLDER, OutputScopes, address_of
from s2sw.pipeline.privacy.private_dir import Inside, RunState
from s2sw.schemas.cache import cache_folder
from s2sw.schemas.forms import is_run_id
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.whole_files import write_whole

CROSSWALK = "crosswalk"

_T = TypeVar("_T")


def open_inside(private_dir: str | None, storage: StorageSettings) -> Inside:
    """Return the configured private folder, local or ``s3://``, or the default one. It may not exist yet."""
    if private_dir is None or not is_s3(private_dir):
        return Inside.of(private_dir)
    remote = S3Output(private_dir, storage)
    cache = cache_folder() / "private"
    return PrivateBucket(cache / hashlib.sha256(remote.root.encode()).hexdigest()[:16], remote)


@dataclass(frozen=True)
class PrivateBucket(Inside):
    """A private folder below a prefix of a bucket. folder: of this machine's scratch files."""

    remote: S3Output

    @property
    @override
    def address(self) -> str:
        return self.remote.root

    @override
    def check_writable(self) -> None:
        super().check_writable()
        self.remote.check_writable()

    @override
    def overlaps(self, output: str) -> bool:
        own, other = f"{self.address}/", f"{output.rstrip('/')}/"
        return own.startswith(other) or other.startswith(own)

    @override
    def key(self) -> bytes | None:
        return environment_key() or self._kept_key()

    @override
    def make_key(self) -> bytes:
        key = self.key()
        if key is None:
            made = secrets.token_hex(KEY_BYTES).encode()
            _asked(self.address, lambda: self.remote.create(KEY_FILE, made))  # never replaces another's
            key = self._kept_key()
        if key is None:
            raise KeyFileError(f"private_dir: {self.address}/{KEY_FILE} was removed while it was made")
        return key

    def _kept_key(self) -> bytes | None:
        try:
            data = _asked(self.address, lambda: self.remote.read(KEY_FILE))
        except FileNotFoundError:
            return None
        return parse_key(data.decode("ascii", "replace"), f"{self.address}/{KEY_FILE}")

    @override
    def scopes(self) -> OutputScopes:
        return _BucketScopes(Path(self.folder), self.remote)

    @override
    def open_state(self, output: str, run_id: str) -> RunState:
        local = super().open_state(output, run_id)
        return _BucketState(local.folder, run_id, self.remote)

    @override
    def crosswalk_files(self, run_id: str) -> list[Path]:
        if not is_run_id(run_id):
            return []
        check_private_folder(self.folder)
        sizes = _asked(self.address, lambda: self.remote.sizes(f"{CROSSWALK}/{run_id}"))
        files = re.compile(rf"{CROSSWALK}/{run_id}/\w+\.parquet")  # a server may list any name
        return [self._fetched(name, size) for name, size in sizes.items() if files.fullmatch(name)]

    def _fetched(self, name: str, size: int) -> Path:
        """Return this machine's copy of a file, which never changes once it is there."""
        path = self.folder / "fetched" / name
        if not path.is_file():
            data = _asked(self.address, lambda: self.remote.read(name, size))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)
        return path


@dataclass(frozen=True)
class _BucketState(RunState):
    """Files of a run on this machine; its crosswalk is copied to the bucket before anything is screened."""

    remote: S3Output

    @override
    def keep(self) -> None:
        for path in sorted(self.crosswalk(0).glob("*.parquet")):
            data = path.read_bytes()
            name = f"{CROSSWALK}/{self.run_id}/{path.name}"
            _asked(self.remote.root, lambda name=name, data=data: self.remote.write(name, data))  # type: ignore[misc]

    @override
    def clear_abandoned(self) -> None:
        super().clear_abandoned()
        for path in self.crosswalk(0).parent.glob("*"):
            shutil.rmtree(path, ignore_errors=True)

    @override
    def clear(self) -> None:
        super().clear()
        shutil.rmtree(self.crosswalk(0), ignore_errors=True)
        self.manifest.unlink(missing_ok=True)


@dataclass(frozen=True)
class _BucketScopes(OutputScopes):
    """The scopes of a private folder in a bucket."""

    remote: S3Output

    @override
    def note(self, scope: str, root: str) -> None:
        name, data = self._name(scope), os.fsencode(address_of(root))
        _asked(self.remote.root, lambda: self.remote.write(name, data))

    @override
    def output_of(self, scope: str) -> str | None:
        try:
            return os.fsdecode(_asked(self.remote.root, lambda: self.remote.read(self._name(scope)))).strip()
        except FileNotFoundError:
            return None

    @override
    def place(self, scope: str) -> str:
        return self.remote.address(self._name(scope))

    def _name(self, scope: str) -> str:
        return f"{FOLDER}/{self.path(scope).name}"


def _asked(address: str, call: Callable[[], _T]) -> _T:
    """Return what the storage answers. Raises KeyFileError where it does not, FileNotFoundError."""
    try:
        return call()
    except FileNotFoundError:
        raise
    except (ScreeningError, OSError) as error:
        why = getattr(error, "detail", None) or getattr(error, "strerror", None) or type(error).__name__
        raise KeyFileError(f"private_dir: {address} cannot be used ({why})") from None
