"""Ctrl-C, SIGTERM and SIGHUP: taken where a run waits, held back where it enters an object."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """A context manager that turns the first signal into one KeyboardInterrupt and ignores later ones.

    An exception between two lines of bookkeeping would count an object that is not written, or write the
    slices of one that does not count; inside ``held()`` the interrupt waits for the end of the block.
    """

    def __init__(self) -> None:
        self._asked = self._raised = False
        self._holds = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interruption":
        handlers: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        # what was ignored when this process started stays so: nohup(1) lets a run outlive its terminal
        self._before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}
        if in_main_thread():
            for number in self._before:
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if in_main_thread():
            for number, handler in self._before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let a block finish before the interrupt is raised."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        self._raise_if_asked()

    def let_finish(self) -> None:
        """Raise nothing any more: the work is accounted for, and what is left is to write it down."""
        self._raised = True

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self._raise_if_asked()

    def _raise_if_asked(self) -> None:
        if self._asked and not self._raised and not self._holds:
            self._raised = True
            raise KeyboardInterrupt


def in_main_thread() -> bool:
    """Tell whether signals may be set: Python allows it to the main thread only."""
    return threading.current_thread() is threading.main_thread()
