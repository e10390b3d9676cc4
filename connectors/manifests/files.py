"""Opening the files that a manifest consists of, on this machine or on S3."""

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from s2sw.connectors.storage.retries import reason_of
from s2sw.connectors.storage.s3 import is_s3, s3_reader, split_s3
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.storage import StorageSettings

READ_AHEAD = 4 << 20
"""Bytes of one request for a file that is read from its beginning to its end."""


class ManifestError(UserError):
    """A manifest cannot be used. Names file, row and column, and no address that stands in it."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(f"manifest: {address}: {problem}")


@contextlib.contextmanager
def opened(address: str, settings: StorageSettings, *, ahead: bool = True) -> Iterator[BinaryIO]:
    """Open a file for reading; ahead: from its beginning to its end. Raises ManifestError."""
    try:
        with _open(address, settings, ahead) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise ManifestError(address, f"cannot be read ({_why(error)})") from error


def _open(address: str, settings: StorageSettings, ahead: bool) -> BinaryIO:
    if not is_s3(address):
        return Path(address).open("rb")
    options = {"cache_type": "readahead" if ahead else "none", "block_size": READ_AHEAD}
    file: BinaryIO = s3_reader(settings).open("/".join(split_s3(address)), "rb", **options)
    return file


def _why(error: BaseException) -> str:
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return "it is cut, or no gzip file"
    words = {Reason.NOT_FOUND: "it does not exist", Reason.DENIED: "permission denied"}
    text = getattr(error, "strerror", None) or str(error)
    return words.get(reason_of(error)) or " ".join(text.split()) or type(error).__name__
