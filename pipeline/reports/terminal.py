"""Texts of others in what rich prints."""

from rich.markup import escape

from s2sw.schemas.shown import printable


def plain(text: str) -> str:
    """Return a text that rich shows letter by letter: no terminal obeys it, and it is no markup."""
    return escape(printable(text))
