"""What a user can mend."""


class UsageError(Exception):
    """The command or its configuration cannot work; the message says what to change."""
