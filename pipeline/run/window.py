"""When a run has to stop admitting work."""

import contextlib
import re
from datetime import datetime, timedelta

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
