"""What a reviewer can decide on a slice."""

from enum import StrEnum


class DecisionKind(StrEnum):
    """The values of the column ``decision`` in the table of decisions."""

    ACCEPT = "accept"
    """It is an anomaly."""
    REJECT = "reject"
    """A false alarm."""
    UNSURE = "unsure"
    WITHDRAWN = "withdrawn"
    """The reviewer withdraws the earlier decision; no decision of theirs on this slice counts."""
