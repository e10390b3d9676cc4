"""The one place where an exception becomes a reason, without any text of the object."""

from collections.abc import Iterator
from typing import TypeVar

from s2sw.schemas.outcomes import Reason, ScreeningError

T = TypeVar("T")


def guarded(items: Iterator[T]) -> Iterator[T]:
    """Yield ``items``; turn any exception into a ``ScreeningError`` that names no text of the object."""
    try:
        yield from items
    except ScreeningError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders raise anything on malformed input; mapped here only
        raise ScreeningError(reason_for(error), _detail(error)) from None


def _detail(error: Exception) -> str:
    """Return our own text, since a library's may quote the object; "" for the meaning of the reason."""
    if isinstance(error, ImportError) and error.name:
        return f"needs the package {error.name.partition('.')[0]}"
    return ""


def reason_for(error: BaseException) -> Reason:
    """Return the reason for an exception that was raised while decoding."""
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


def _says(error: BaseException, *words: str) -> bool:
    # Pillow and NumPy tell these cases apart by their message only, in words of their own
    text = str(error).lower()
    return any(word in text for word in words)
