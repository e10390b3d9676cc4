"""Errors that a user can correct: one line that says what to do, and the exit code of the command."""

from typing import ClassVar


class UserError(ValueError):
    """The command, its configuration or its data is wrong; the message names the input and what to do."""

    exit_code: ClassVar[int] = 2


class FailedError(UserError):
    """The command was right, but failed."""

    exit_code: ClassVar[int] = 1
