"""Ctrl-C and SIGTERM: taken where a run waits, held back where it enters an object."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A context manager that turns the first signal into one KeyboardInterrupt and ignores later ones.

    An exception between two lines of bookkeeping would count an object that is not written, or write the
    slices of one that does not count; inside ``held()`` the interrupt waits for the end of the block.
    """

    def __init__(self) -> None:
        self._asked = self._raised = False
        self._holds = 0
        self._before: dict[signal.Signals, signal.Handlers | int | None] = {}

    def __enter__(self) -> "Interruption":
        self._before = {number: signal.getsignal(number) for number in SIGNALS}  # type: ignore[misc]
        if in_main_thread():
            for number in SIGNALS:
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
