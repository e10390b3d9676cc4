"""Retries for transient errors: throttling, time-outs, broken connections; denied objects are not retried."""

import errno
import random
import time
from collections.abc import Callable
from typing import TypeVar

from s2sw.connectors.storage.answers import reason_of_answer
from s2sw.schemas.outcomes import TRANSIENT_REASONS, Reason, ScreeningError

T = TypeVar("T")

# what s3fs and the operating system answer when the server asks to slow down
THROTTLE_ERRNOS = frozenset({errno.EBUSY, errno.EAGAIN})


def reason_of(error: BaseException) -> Reason:
    """Return the reason that a failed request or system call stands for."""
    if isinstance(error, ScreeningError):
        return error.reason
    answer = reason_of_answer(error)
    if answer is not None:
        return answer
    circle = isinstance(error, OSError) and error.errno == errno.ELOOP
    if circle or isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return Reason.NOT_FOUND
    if isinstance(error, PermissionError) or type(error).__name__ == "NoCredentialsError":
        return Reason.DENIED
    # botocore raises its own time-outs, which are not TimeoutError
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Reason.TIMEOUT
    if isinstance(error, OSError) and error.errno in THROTTLE_ERRNOS:
        return Reason.THROTTLED
    return Reason.IO_ERROR


def with_retries(call: Callable[[], T], tries: int) -> T:
    """Return what the call returns, retrying it after transient errors.

    Raises ScreeningError with the reason of the last failure.
    """
    for attempt in range(1, tries + 1):
        try:
            return call()
        except ScreeningError:
            raise
        except Exception as error:
            reason = reason_of(error)
            if reason not in TRANSIENT_REASONS or attempt == tries:
                raise ScreeningError(reason, str(error)) from error
        # full jitter, so that many workers do not come back in step
        time.sleep(random.uniform(0, min(10.0, 0.2 * 2**attempt)))  # noqa: S311 (no secret)
    raise AssertionError("unreachable: the last try returns or raises")
