"""How a command ends when it cannot work: one line, no traceback."""

import contextlib
from collections.abc import Iterator

import typer
from rich.console import Console

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DEFERRED = 3


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors that a user can mend into one line on stderr; exit code 2, or 1 for another run."""
    from s2sw.model.errors import BundleError
    from s2sw.pipeline.errors import UsageError
    from s2sw.pipeline.ledger.audit import AuditError
    from s2sw.pipeline.ledger.lease import LeaseHeldError, LeaseLostError
    from s2sw.pipeline.privacy.ids import KeyFileError

    try:
        yield
    except (UsageError, KeyFileError, BundleError) as error:
        fail(str(error), EXIT_USAGE)
    except (LeaseHeldError, LeaseLostError, AuditError) as error:
        fail(str(error), EXIT_FAILED)


def fail(message: str, code: int) -> None:
    """Print one line and leave with this exit code."""
    warn(message)
    raise typer.Exit(code)


def warn(message: str) -> None:
    """Print one line on stderr."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"s2sw: {message}", markup=False)
