"""A run's own log, ``runs/RUN.log``: one JSON object a line, written beside its record when it ends.

It holds our own texts only, and in private mode no address: what others log is left out.
"""

import json
import logging
from datetime import UTC, datetime

from typing_extensions import override

OWN = "s2sw"
LINES = 20_000  # kept of a run; later ones are counted


class RunLog(logging.Handler):
    """Collects what this package logs while it is entered."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[str] = []
        self._left_out = 0

    def __enter__(self) -> "RunLog":
        logging.getLogger(OWN).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(OWN).removeHandler(self)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= LINES:
            self._left_out += 1
            return
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "message": record.getMessage()}
        self._lines.append(json.dumps(line | getattr(record, "fields", {})))

    def document(self) -> bytes:
        """Return the lines so far."""
        end = [json.dumps({"message": f"{self._left_out} later lines left out"})] if self._left_out else []
        return "".join(f"{line}\n" for line in [*self._lines, *end]).encode()
