"""A signal comes once, and never between two lines of bookkeeping."""

import os
import signal

import pytest

from s2sw.pipeline.run.interruption import Interruption

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_what_waits(number: signal.Signals) -> None:
    with Interruption(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_held_block_ends_first(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        with interruption.held():
            with interruption.held():
                os.kill(os.getpid(), number)
                done.append("inner")
            done.append("outer")
        done.append("after")

    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]


def test_only_the_first_signal_counts() -> None:
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with interruption.held():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)


def test_an_error_in_a_held_block_is_not_replaced() -> None:
    def work() -> None:
        with interruption.held():
            os.kill(os.getpid(), signal.SIGTERM)
            raise OSError("full")

    with Interruption() as interruption, pytest.raises(OSError, match="full"):
        work()


def test_the_signals_are_given_back_at_the_end() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
