"""What a reviewer can say of a slice."""

from enum import StrEnum


class DecisionKind(StrEnum):
    """The values of the column ``decision`` in the table of decisions."""

    ACCEPT = "accept"
    """The anomaly is one."""
    REJECT = "reject"
    """A false alarm."""
    UNSURE = "unsure"
    WITHDRAWN = "withdrawn"
    """The reviewer takes back what they said before; nothing of theirs counts on the slice then."""
