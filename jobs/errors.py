"""How a command ends when it cannot work: one line, no traceback."""

import contextlib
from collections.abc import Iterator
from typing import NoReturn

import typer
from rich.console import Console

from s2sw.schemas.errors import UserError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DEFERRED = 3


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what a user can mend into one line on stderr and its exit code. Also a decorator of commands."""
    try:
        yield
    except UserError as error:
        fail(str(error), error.exit_code)


def fail(message: str, code: int) -> NoReturn:
    """Print one line and leave with this exit code."""
    warn(message)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Print one line on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"s2sw: {message}", markup=False)
