"""A session of S3 clients that reads listings quickly: botocore itself takes most of their time for it."""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiobotocore.parsers import AioResponseParserFactory, AioRestXMLParser
from aiobotocore.session import AioSession
from botocore.handlers import BUILTIN_HANDLERS  # type: ignore[import-untyped]
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]

ENTRY = "Object"
"""botocore's name for what a listing tells of an object (S3 API, ListObjectsV2, Contents)."""
CHECK = "_handle_200_error"
"""What looks for errors in answers that say 200, by its name: it is not public."""
START, END = b"<ListBucketResult", b"</ListBucketResult>"
LONGEST_START = 200  # bytes in which a listing's first element begins, after the XML declaration
ALGORITHMS = "ChecksumAlgorithm"
"""Element of an entry that may be there several times."""


def session_of_quick_listings() -> AioSession:
    """Return a new session, whose clients give what those of any other session give."""
    session = AioSession()
    session.register_component("response_parser_factory", _Parsers())
    for event, check, *_ in BUILTIN_HANDLERS:
        if getattr(check, "__name__", "") == CHECK:
            session.unregister(event, check)
            session.register(event, functools.partial(_checked, check))
    return session


def _checked(check: Callable[..., None], response_dict: dict[str, Any], **more: Any) -> None:
    """Look for an error in a good answer as botocore does, but where it is a whole listing.

    botocore reads all of the answer for that, and then a second time for what it says.
    """
    body = response_dict["body"]
    if isinstance(body, bytes) and body.endswith(END) and START in body[:LONGEST_START]:
        return
    check(response_dict=response_dict, **more)


class _Parsers(AioResponseParserFactory):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.set_parser_defaults(timestamp_parser=_parsed)

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name == "rest-xml":
            return _Parser(**self._defaults)
        return super().create_parser(protocol_name)


class _Parser(AioRestXMLParser):  # type: ignore[misc]
    # not public: where it is not called any more, listings take twice the time
    def _handle_structure(self, shape: Any, node: Any) -> Any:
        entry = _entry(node) if shape.name == ENTRY else None
        return super()._handle_structure(shape, node) if entry is None else entry


def _entry(node: Any) -> dict[str, Any] | None:
    """Return an entry of a listing; None for one that is read as all else is."""
    entry: dict[str, Any] = {}
    for child in node:
        name = child.tag.rpartition("}")[2]
        if name == ALGORITHMS:
            entry.setdefault(name, []).append(child.text or "")
            continue
        read = _READERS.get(name)
        if read is None:
            return None
        if name not in entry:
            entry[name] = read(child.text or "")
    return entry


def _parsed(value: object) -> datetime:
    """Return a time as servers write it: ISO 8601 in listings; botocore reads all other forms."""
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if found.tzinfo is not None:
                return found
    other: datetime = parse_timestamp(value)
    return other


_READERS: dict[str, Callable[[str], Any]] = {
    "Key": str, "ETag": str, "StorageClass": str, "ChecksumType": str, "Size": int, "LastModified": _parsed,
}  # fmt: skip
