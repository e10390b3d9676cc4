"""What takes too long ends the process, though it never returns from C; what is in time leaves no trace."""

import signal
import subprocess
import sys

import pytest

from s2sw.pipeline.stages.time_limit import ended_after

HANGS = """
import hashlib
from s2sw.pipeline.stages.time_limit import ended_after
with ended_after(0.2):
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # half an hour in C, without a look at signals
"""


def test_a_hang_in_c_ends_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, timeout=600)
    assert done.returncode == -signal.SIGALRM
    assert done.stderr == b""


@pytest.mark.parametrize("set_before", [0.0, 800.0])
def test_a_timer_of_others_goes_on(set_before: float) -> None:
    others = signal.setitimer(signal.ITIMER_REAL, set_before)
    try:
        with ended_after(5000.0):
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 4000
        assert signal.getitimer(signal.ITIMER_REAL)[0] == pytest.approx(set_before, abs=60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *others)


def test_an_error_ends_the_limit_too() -> None:
    others = signal.getitimer(signal.ITIMER_REAL)
    with pytest.raises(ValueError, match="cut"), ended_after(5000.0):
        raise ValueError("cut")
    assert signal.getitimer(signal.ITIMER_REAL)[0] <= others[0]
