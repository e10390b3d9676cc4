"""One thing that was looked at."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """A run works, but not as well as it could."""
    FAILED = "failed"
    """A run cannot work."""


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do where that is not enough."""

    name: str
    found: str
    verdict: Verdict = Verdict.OK
    remedy: str = ""


def failed(name: str, found: str, remedy: str) -> Check:
    """Return a check of something without which a run cannot work."""
    return Check(name, found, Verdict.FAILED, remedy)


def warning(name: str, found: str, remedy: str) -> Check:
    """Return a check of something that should be better."""
    return Check(name, found, Verdict.WARNING, remedy)


def guarded(name: str, look: Callable[[], Check], remedy: str) -> Check:
    """Return what a look says; an error that it meets is a failure, in one line."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a doctor tells of everything that goes wrong
        text = " ".join(str(error).split()) or type(error).__name__
        return failed(name, text, remedy)
