"""Every reason leads to one status, and reasons travel between processes."""

import pickle

import pytest

from s2sw.schemas.outcomes import (
    MEANINGS,
    NO_PIXELS_REASONS,
    TRANSIENT_REASONS,
    Reason,
    ScreeningError,
    Status,
    status_of,
)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_status_that_is_not_screened(reason: Reason) -> None:
    assert status_of(reason) is not Status.SCREENED
    assert (status_of(reason) is Status.NO_PIXELS) == (reason in NO_PIXELS_REASONS)
    assert (status_of(reason) is Status.DEFERRED) == (reason is Reason.TIME_WINDOW)


def test_only_the_way_to_the_content_may_pass() -> None:
    assert {Reason.TIMEOUT, Reason.THROTTLED, Reason.IO_ERROR} == TRANSIENT_REASONS


def test_an_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ScreeningError(Reason.BOMB, "a detail")))
    assert (error.reason, error.detail, str(error)) == (Reason.BOMB, "a detail", "bomb: a detail")
    assert str(ScreeningError(Reason.EMPTY)) == f"empty: {MEANINGS[Reason.EMPTY]}"


def test_every_reason_says_what_it_means() -> None:
    assert set(MEANINGS) == set(Reason)
