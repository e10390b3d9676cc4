"""Columns of a manifest as they come, checked and in one type each. A wrong value is named by its row."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from s2sw.schemas.strict import LARGEST


class RowError(ValueError):
    """A value cannot be used. row: from 0, within the column."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row


def texts(column: pa.Array) -> list[str]:
    """Return texts, "" for null. Raises RowError where one is not UTF-8, ValueError for other columns."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_text(column.type):
        raise ValueError(f"holds {column.type}, and text is expected")
    try:
        found = column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        raise RowError(_first(column.cast(pa.binary()), _is_utf_8), "is not UTF-8") from None
    return [text or "" for text in found.to_pylist()]


def sizes(column: pa.Array) -> list[int | None]:
    """Return sizes in bytes, None where there is none. Raises RowError: negative, no whole number."""
    values = texts(column) if _is_text(column.type) else column.to_pylist()
    return [_each(row, value, _size) for row, value in enumerate(values)]


def times(column: pa.Array) -> list[float]:
    """Return seconds since the epoch, 0 where there is none.

    Numbers are such seconds; times without a zone are UTC; texts are ISO 8601 or a number. Raises RowError.
    """
    values = texts(column) if _is_text(column.type) else column.to_pylist()
    return [_each(row, value, _seconds) or 0.0 for row, value in enumerate(values)]


def flags(column: pa.Array) -> list[bool | None]:
    """Return truths, None where there is none: booleans, or the words true and false. Raises RowError."""
    values = texts(column) if _is_text(column.type) else column.to_pylist()
    return [_each(row, value, _flag) for row, value in enumerate(values)]


def _each(row: int, value: Any, read: Callable[[Any], Any]) -> Any:
    if value is None or value == "" or value != value:
        return None
    try:
        return read(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise RowError(row, str(error)) from None


def _size(value: Any) -> int:
    if isinstance(value, str) and not (value.isascii() and value.removeprefix("-").isdecimal()):
        raise ValueError("is no whole number")
    number = int(value) if not isinstance(value, float) or math.isfinite(value) else -1
    if number != value and not isinstance(value, str):
        raise ValueError("is no whole number")
    if not 0 <= number <= LARGEST:
        raise ValueError("is negative" if number < 0 else f"is above {LARGEST}")
    return number


def _seconds(value: Any) -> float:
    try:
        seconds = _of_time(value)
    except (ValueError, OverflowError, TypeError):
        raise ValueError("is neither a time (ISO 8601) nor a number of seconds") from None
    if not abs(seconds) <= LARGEST:
        raise ValueError("is no time")
    return seconds


def _of_time(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value)


def _flag(value: Any) -> bool:
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if isinstance(value, bool):
        return value
    raise ValueError("is neither true nor false")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)
    )  # fmt: skip


def _is_utf_8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _first(column: Sequence[Any], good: Callable[[Any], bool]) -> int:
    return next(row for row, value in enumerate(pa.array(column).to_pylist()) if not good(value))
