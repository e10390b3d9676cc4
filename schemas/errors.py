"""What a user can mend: one line that says what, and the exit code of the command that meets it."""

from typing import ClassVar


class UserError(ValueError):
    """The command, its configuration or its data cannot work; the message names the input and what to do."""

    exit_code: ClassVar[int] = 2


class FailedError(UserError):
    """The command was right and could not be carried out."""

    exit_code: ClassVar[int] = 1
