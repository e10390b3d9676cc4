"""The one place where an exception becomes a reason, without a word of the object."""

import errno
from collections.abc import Iterator
from typing import TypeVar

from schemas.outcomes import Reason, ScreeningError

T = TypeVar("T")

# what s3fs and the operating system answer when the server asks to slow down
THROTTLE_ERRNOS = frozenset({errno.EBUSY, errno.EAGAIN})


def guarded(items: Iterator[T]) -> Iterator[T]:
    """Yield ``items``; turn any exception into a ``ScreeningError`` that names no text of the object."""
    try:
        yield from items
    except ScreeningError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise anything on malformed input; mapped here only
        raise ScreeningError(reason_for(error), type(error).__name__) from None


def reason_for(error: BaseException) -> Reason:
    """Return the reason that an exception stands for which was raised while decoding."""
    if isinstance(error, ScreeningError):
        return error.reason
    if isinstance(error, MemoryError):
        return Reason.OUT_OF_MEMORY
    if isinstance(error, RecursionError):
        return Reason.TOO_LARGE
    if isinstance(error, NotImplementedError):
        return Reason.UNSUPPORTED
    if isinstance(error, ImportError):
        return Reason.CODEC_MISSING
    if isinstance(error, EOFError) or _says(error, "truncated", "incomplete"):
        return Reason.TRUNCATED
    if _says(error, "unsupported", "not supported", "unknown pixel mode", "unknown data organization"):
        return Reason.UNSUPPORTED
    return Reason.MALFORMED


def reason_of(error: BaseException) -> Reason:
    """Return the reason that a failed request or system call stands for."""
    if isinstance(error, ScreeningError):
        return error.reason
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return Reason.NOT_FOUND
    if isinstance(error, PermissionError) or type(error).__name__ == "NoCredentialsError":
        return Reason.DENIED
    # botocore raises its own time-outs, which are not TimeoutError
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Reason.TIMEOUT
    if isinstance(error, OSError) and error.errno in THROTTLE_ERRNOS:
        return Reason.THROTTLED
    return Reason.IO_ERROR


def _says(error: BaseException, *words: str) -> bool:
    # Pillow and NumPy tell these cases apart by their message only, in words of their own
    text = str(error).lower()
    return any(word in text for word in words)
