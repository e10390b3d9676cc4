"""What commands say while they work: the standard library's logging, as lines for people or as JSON."""

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

from typing_extensions import override

from s2sw.schemas.shown import printable

OWN = "s2sw"
FIELDS = "fields"
"""Name of the extra of a log record that holds values for machines."""


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class _ToStderr(logging.Handler):
    """Writes to whatever standard error is now: a live display puts itself in between."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")
        sys.stderr.flush()


class _Text(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        text = printable(" ".join(record.getMessage().splitlines()))
        return text if record.levelno == logging.INFO else f"{OWN}: {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the record's fields for machines."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        return json.dumps(line)


def configure_logs(format_: LogFormat = LogFormat.TEXT, verbose: int = 0, quiet: bool = False) -> None:
    """Send our own log records to standard error: warnings, progress unless quiet, details if verbose.

    Records that standard error does not show are made all the same: a run keeps its log.
    """
    handler = _ToStderr()
    handler.setFormatter(JsonFormatter() if format_ is LogFormat.JSON else _Text())
    logger = logging.getLogger(OWN)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    handler.setLevel(logging.WARNING if quiet else logger.level)
