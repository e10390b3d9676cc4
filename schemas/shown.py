"""Text that is safe on a terminal: names of files, groups and detectors may come from others."""

import re


def printable(text: str) -> str:
    """Return a text with each control character replaced by its escape in Python."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


_OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, except those that paths of an archive may have, and changes of text direction."""


def is_printable(value: object) -> bool:
    """Tell whether texts hold no control characters."""
    if isinstance(value, str):
        return _OBEYED.search(value) is None
    if isinstance(value, dict):
        return all(is_printable(one) for pair in value.items() for one in pair)
    return not isinstance(value, list) or all(map(is_printable, value))
