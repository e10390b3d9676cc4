"""What Ray reads from the environment when it is imported."""

import os
import re

from s2sw.schemas.errors import UserError

FIXED = {
    # no usage reports, and a closed port of this machine as their address: on some clusters it posts that
    # they are off (Ray 2.60)
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
}
DEFAULTS = {
    # its C++ parts write to stderr what is no matter for a user; set it to debug
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # workers without a GPU of their own must not see the others'
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # where memory is too small, tasks would be killed and tried again without end (Ray 2.60: -1)
    "RAY_task_oom_retries": "3",
}


_NUMBERS = re.compile(
    r"RAY_[a-z][a-z0-9_]*_(?:ms|s|us|seconds|bytes|mb|size|count|retries|threshold|num|interval)"
)
"""Settings of Ray's C++ parts whose values are numbers, by their names: they abort on any other value."""


def check_variables() -> None:
    """Raise UserError, naming the variable, for a value that Ray would abort on without a word."""
    for name, value in os.environ.items():
        if _NUMBERS.fullmatch(name):
            try:
                float(value)
            except ValueError:
                raise UserError(f"{name}: {value!r} is no number: Ray would abort") from None


def prepare_environment() -> None:
    """Set it in this process, before Ray is imported."""
    os.environ.update(FIXED)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
