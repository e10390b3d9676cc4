"""What may be shown on a terminal: names of files, groups and detectors may be somebody else's."""


def printable(text: str) -> str:
    """Return a text without what a terminal obeys, each such character as its escape in Python."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
