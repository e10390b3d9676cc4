"""How a command ends when it cannot work: one line, no traceback."""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator
from typing import NoReturn

import typer

from s2sw.jobs.logs import OWN, configure_logs
from s2sw.schemas.errors import UserError

log = logging.getLogger(__name__)

SCREENING = frozenset({"torch", "torchvision", "open_clip", "pytorch_wavelets", "safetensors", "ray"})
"""Modules of the extra ``screen``, without which results are still read, reviewed and exported."""

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
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in SCREENING:
            raise
        fail(f"this command needs the package {package}: pip install 's2sw[screen]'", EXIT_USAGE)


def need_screening() -> None:
    """Raise ModuleNotFoundError where a package that screening needs is not installed; imports none."""
    for package in sorted(SCREENING):
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def fail(message: str, code: int) -> NoReturn:
    """Print one line and leave with this exit code."""
    warn(message)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Say one line on standard error, as the log has it."""
    if not logging.getLogger(OWN).handlers:  # a command that is called by itself
        configure_logs()
    log.warning("%s", message)
