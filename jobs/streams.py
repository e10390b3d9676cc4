"""Standard output and error that may be closed, or whose reader may go, without ending the work."""

import io
import os
import sys
from typing import TextIO

from typing_extensions import override


class Shielded(io.TextIOBase):
    """Passes text on until nobody reads it any more; then it goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @override
    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self._give_up()
            return len(text)

    @override
    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    @override
    def fileno(self) -> int:
        return self._stream.fileno()

    @override
    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    @override
    def encoding(self) -> str:  # type: ignore[override]
        """As of the stream: it decides which characters a table is drawn with."""
        return self._stream.encoding

    def _give_up(self) -> None:
        """Lead what is still held back, and all that follows, to nowhere: Python flushes at its end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._stream.fileno())
        except (OSError, ValueError):
            self._stream = open(os.devnull, "w")  # noqa: PTH123, SIM115 (kept for the life of the process)
        os.close(nowhere)


def shield_streams() -> None:
    """Shield this process's standard streams; one that is closed already gets a device that takes all."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the descriptor was closed when Python started
            stream = open(os.devnull, "w")  # noqa: PTH123, SIM115
        if not isinstance(stream, Shielded):
            setattr(sys, name, Shielded(stream))
