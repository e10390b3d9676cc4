"""When a run has to stop admitting work."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.run.executor import RunFailedError

LISTING_SECONDS = 600.0
"""What a listing may take, whenever the window ends."""
_DURATION = re.compile(r"(?=\d)(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_until(text: str, now: datetime) -> float:
    """Return the moment as seconds since the epoch: ``06:00`` is the next six o'clock of local time,
    ``90m``, ``2h`` or ``1h30m`` a duration from now.

    Raises ValueError, naming what is understood.
    """
    if match := re.fullmatch(r"(\d{1,2}):(\d{2})", text):
        hour, minute = int(match[1]), int(match[2])
        if hour < 24 and minute < 60:
            moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return (moment if moment > now else moment + timedelta(days=1)).timestamp()
    elif match := _DURATION.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        with contextlib.suppress(OverflowError):  # beyond the year 9999
            return (now + timedelta(hours=hours, minutes=minutes, seconds=seconds)).timestamp()
    raise ValueError(f"until: {text!r} is neither a time like 06:00 nor a duration like 90m or 1h30m")


def in_window(objects: Iterable[StoredObject], too_late: Callable[[], bool]) -> Iterator[StoredObject]:
    """Yield what is listed. Raises RunFailedError for a listing that does not end, once the window is over.

    Short ones may outlast it, so that all is accounted for.
    """
    patience = time.monotonic() + LISTING_SECONDS
    for stored in objects:
        if too_late() and time.monotonic() > patience:
            raise RunFailedError("the window ended while the source was still being listed")
        yield stored
