"""Ids of objects: keyed in private mode, so that nobody without the key can test a guess."""

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import string
from collections.abc import Callable, Sequence
from pathlib import Path

from s2sw.connectors.slices import UID_KINDS
from s2sw.schemas.errors import UserError
from s2sw.schemas.whole_files import write_whole

ID_LENGTH = 26  # base32 characters: 130 bits of the digest
KEY_BYTES = 32
KEY_ENV, KEY_FILE_ENV = "S2SW_ID_KEY", "S2SW_ID_KEY_FILE"
"""Environment variables that bring the key: itself, or the name of a file, such as a mounted secret."""
KEY_FILE = "id.key"
LONGEST_KEY_FILE = 4096


class KeyFileError(UserError):
    """The id key cannot be used."""


def object_ids(key: bytes | None) -> Callable[[str, str], str]:
    """Return the function (address, version) -> object id, 26 characters a-z2-7.

    key: HMAC-SHA256 key of private mode (RFC 2104); None in open mode, where the id is a plain SHA-256.
    A changed object has another ETag and so another id.
    """

    def object_id(uri: str, etag: str) -> str:
        return _id(key, b"object", uri.encode("utf-8", "surrogatepass"), etag.encode())

    return object_id


def uid_ids(key: bytes | None) -> Callable[[Sequence[bytes]], dict[str, str]]:
    """Return the function from digests of UIDs, in the order of UID_KINDS, to the columns ``study_id`` ...

    key: as for ``object_ids``. The processes that read objects make plain digests, since they do not get the
    key; what is written is the keyed id of a digest, of a domain of its own for each kind.
    """

    def ids(digests: Sequence[bytes]) -> dict[str, str]:
        named = zip(UID_KINDS, digests, strict=False)
        return {f"{kind}_id": _id(key, kind.encode(), digest) for kind, digest in named if digest}

    return ids


def derived_key(key: bytes | None, domain: bytes) -> bytes | None:
    """Return a key of its own for one purpose, from which the id key cannot be found; None in open mode."""
    return hmac.digest(key, domain, "sha256") if key else None


def keyed_name(key: bytes | None, domain: bytes, *parts: bytes) -> str:
    """Return a keyed name of parts, 26 characters a-z2-7; one of another domain tells nothing of it."""
    return _id(key, domain, *parts)


def _id(key: bytes | None, domain: bytes, *parts: bytes) -> str:
    message = b"\0".join((domain, *parts))
    digest = hmac.digest(key, message, "sha256") if key else hashlib.sha256(message).digest()
    return base64.b32encode(digest[:20])[:ID_LENGTH].decode().lower()  # whole groups of five bytes


def key_id(key: bytes) -> str:
    """Return a short name of the key that reveals nothing of it, to tell keys apart."""
    return hmac.digest(key, b"key-id", "sha256").hex()[:8]


def load_or_create_key(private_dir: Path) -> bytes:
    """Return the id key: of the environment (KEY_ENV, KEY_FILE_ENV), else of the file id.key.

    Hexadecimal or base64. The file id.key is made on first use, readable by its owner only. Raises
    KeyFileError if the key is too short or a file is readable by others.
    """
    key = existing_key(private_dir)
    if key is None:
        _create_key(private_dir / KEY_FILE)
        key = existing_key(private_dir)
    if key is None:
        raise KeyFileError(f"{private_dir / KEY_FILE} was removed while it was made")
    return key


def existing_key(private_dir: Path) -> bytes | None:
    """Return the id key if there is one. Raises KeyFileError as ``load_or_create_key`` does."""
    key = environment_key()
    if key is None:
        check_private_folder(private_dir)
        key = _read_key(private_dir / KEY_FILE)
    return key


def environment_key() -> bytes | None:
    """Return the id key that the environment brings, if it does. Raises KeyFileError."""
    if KEY_ENV in os.environ and KEY_FILE_ENV in os.environ:
        raise KeyFileError(f"{KEY_ENV} and {KEY_FILE_ENV} are both set: unset one of them")
    if KEY_ENV in os.environ:
        return parse_key(os.environ[KEY_ENV], f"environment variable {KEY_ENV}")
    if KEY_FILE_ENV in os.environ:
        path = Path(os.environ[KEY_FILE_ENV])
        key = _read_key(path, secret=True)
        if key is None:
            raise KeyFileError(f"{KEY_FILE_ENV}: {path} does not exist: is the secret mounted there?")
        return key
    return None


def _read_key(path: Path, secret: bool = False) -> bytes | None:
    """Return the key in a file, None where there is no file. Raises KeyFileError.

    secret: its group may read it if it is root's: Kubernetes gives mounted secrets to the group of the pod.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # links are followed: secrets are mounted so
    except FileNotFoundError:
        if path.is_symlink():
            raise KeyFileError(f"{path} is a broken link: restore the key, or remove the link") from None
        return None
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} is no file")
        allowed = stat.S_IRGRP if secret and status.st_uid == 0 else 0
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~allowed:
            advice = "mount it with defaultMode 0400, or" if secret else ""
            raise KeyFileError(f"{path} can be read by others: {advice} chmod 600 {path}".replace("  ", " "))
        if status.st_uid not in (os.getuid(), 0):
            raise KeyFileError(f"{path} belongs to another account: take a copy of your own")
        return parse_key(file.read(LONGEST_KEY_FILE).decode("ascii", "replace"), str(path))


def check_private_folder(folder: Path, name: str = "private_dir") -> None:
    """Raise KeyFileError for a private folder that another account owns or may write to.

    It could put a key, a crosswalk or a profile of its own there. One that does not exist yet is made when
    needed. name: of the setting that names it.
    """
    try:
        status = folder.stat()
    except FileNotFoundError:
        if folder.is_symlink():
            raise KeyFileError(f"{name}: {folder} is a broken link") from None
        return
    except OSError as error:
        raise KeyFileError(f"{name}: {folder} cannot be used ({error.strerror})") from None
    if not stat.S_ISDIR(status.st_mode):
        raise KeyFileError(f"{name}: {folder} is no folder")
    if status.st_uid not in (os.getuid(), 0):
        raise KeyFileError(f"{name}: {folder} belongs to another account; name one of your own")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileError(f"{name}: others may write to {folder}: chmod 700 {folder}")


def _create_key(path: Path) -> None:
    made = secrets.token_hex(KEY_BYTES).encode()
    with contextlib.suppress(FileExistsError):  # of a run that was faster
        write_whole(path, made, replace=False)


def parse_key(text: str, where: str) -> bytes:
    """Return the key in a text, hexadecimal or base64. Raises KeyFileError, which names ``where``."""
    try:
        key = _decoded(text.strip())
    except ValueError:
        raise KeyFileError(f"{where} is no key: 64 hex digits, or 32 bytes in base64, are expected") from None
    if len(key) < KEY_BYTES:
        raise KeyFileError(
            f"{where} holds {len(key)} bytes: at least {KEY_BYTES} are needed. If it was cut, ids of earlier "
            "results cannot be made any more: restore it, or take a new --private-dir and --output"
        )
    return key


def _decoded(text: str) -> bytes:
    """Return the bytes of hex digits, else 32 bytes of base64 (RFC 4648, either alphabet). Raises ValueError.

    Base64 has one length, so that hex digits with a letter mistyped are not another key.
    """
    if set(text) <= set(string.hexdigits):  # a hexadecimal key that was cut is not taken for base64
        return bytes.fromhex(text)
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    key = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError(f"{len(key)} bytes")
    return key
