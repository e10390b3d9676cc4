"""Private mode's last guard: the text of errors, warnings and log records may quote an object and stays in.

Ray, pydicom and others write such text to logs, streams and other processes. What is left of it is where
something happened and of which kind.
"""

import contextlib
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from s2sw.connectors.guard import reason_for
from s2sw.schemas.outcomes import ScreeningError

OWN = "s2sw"
"""The package whose own log lines pass: they are constants, counts and what the configuration says."""
_HOME = Path(__file__).parents[2]
WITHHELD = "text withheld in private mode"

_plain_record = logging.LogRecord


class StageError(Exception):
    """What crosses from a stage to Ray instead of an exception: its kind and place."""


def seal() -> None:
    """Withhold the text of everything that this process would say by itself, from now on."""
    logging.setLogRecordFactory(_sealed_record)
    logging.raiseExceptions = False  # a handler that fails would print the record
    warnings.simplefilter("ignore")
    warnings.showwarning = _say_nothing
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda found: _say(found.exc_value)
    threading.excepthook = lambda found: _say(found.exc_value)


def describe(error: BaseException) -> str:
    """Return what may be said of an exception: reason, operating system's words, kind, line of our code."""
    if isinstance(error, ScreeningError):
        return error.reason.value
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return f"{type(error).__name__}{_place(error)}"


@contextlib.contextmanager
def withheld(private: bool) -> Iterator[None]:
    """Let nothing but a ``StageError`` out of a stage: Ray writes what it catches into logs."""
    try:
        yield
    except Exception as error:
        if not private:
            raise
        raise StageError(f"{reason_for(error)}: {describe(error)}") from None


def _place(error: BaseException) -> str:
    """Return `` at package/room/file.py:line`` of the innermost frame in our own code, or nothing."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_HOME):
            return f" at {path.relative_to(_HOME)}:{frame.lineno}"
    return ""


def _sealed_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _plain_record(*args, **kwargs)
    record.exc_info = record.exc_text = record.stack_info = None
    if record.name.partition(".")[0] != OWN:
        record.msg, record.args = f"{record.name}: {WITHHELD} ({record.filename}:{record.lineno})", ()
    return record


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _say(error)


def _say(error: BaseException | None) -> None:
    if error is not None and sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"s2sw: {describe(error)} ({WITHHELD})\n")


def _say_nothing(*args: Any, **kwargs: Any) -> None:
    """Stand in for ``warnings.showwarning``."""
