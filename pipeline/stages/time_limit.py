"""A limit of time that holds for code in C too."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """End this process by SIGALRM if the block takes longer.

    Nothing but the death of the process stops a codec that hangs in C. A timer of the process, and no thread:
    starting and joining one costs as much as decoding a small picture. A timer that was set already begins
    again after the block.
    """
    before = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
