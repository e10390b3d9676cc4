"""The entries of a tar stream (POSIX.1-2001 pax, ustar, GNU long names), every header bounded.

The standard library's reader takes a header's word for how much of it to hold in memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

BLOCK = 512
CHUNK = 1 << 20
HEADER_BYTES = 1 << 20
"""Of an extended header or a long name at most."""

_REGULAR = b"0\x007"
_DIRECTORY = b"5"
_LINKS_AND_DEVICES = b"12346"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry: ``regular`` if a file, and not a link or a device; ``sparse`` if stored with holes."""

    name: str
    size: int
    regular: bool
    sparse: bool


def entries(read: Read, limits: Limits) -> Iterator[tuple[TarEntry, Callable[[], bytes]]]:
    """Yield each entry but directories, with a function for its content; content not asked for is skipped.

    ``read(n)`` returns n bytes, fewer only at the end. Raises MALFORMED (checksum, header), TRUNCATED,
    TOO_LARGE (a member above ``object_bytes``, an extended header above ``HEADER_BYTES``).
    """
    extended: dict[str, str] = {}
    while (header := read(BLOCK)) and any(header):
        kind, size = _checked(header)
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            content = _content(read, size, HEADER_BYTES)
            if kind == _LONG_NAME:
                extended["path"] = content.rstrip(b"\x00").decode("utf-8", "replace")
            elif kind == _PAX:
                extended |= _pax(content)
            continue
        size = _declared_size(extended, size)
        if kind != _DIRECTORY:
            left = [size]

            def content_of(left: list[int] = left) -> bytes:
                wanted, left[0] = left[0], 0
                return _content(read, wanted, limits.object_bytes)

            sparse = kind == _SPARSE or any(key.startswith("GNU.sparse") for key in extended)
            name = extended.get("path") or _name(header)
            yield TarEntry(name, size, kind not in _LINKS_AND_DEVICES, sparse), content_of
            size = left[0]
        _skip(read, size)
        extended = {}


def _checked(header: bytes) -> tuple[bytes, int]:
    if len(header) < BLOCK:
        raise ScreeningError(Reason.TRUNCATED, "tar header")
    if _number(header[148:156]) != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
        raise ScreeningError(Reason.MALFORMED, "tar checksum")
    return header[156:157], _number(header[124:136])


def _number(field: bytes) -> int:
    """Return an octal field, or GNU's base 256 for large ones."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b"\x00 ")
    if not digits.isdigit() and digits:
        raise ScreeningError(Reason.MALFORMED, "tar number")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    name, prefix = header[:100].split(b"\x00")[0], b""
    if header[257:263] == b"ustar\x00":
        prefix = header[345:500].split(b"\x00")[0]
    return (prefix + b"/" + name if prefix else name).decode("utf-8", "replace")


def _pax(content: bytes) -> dict[str, str]:
    records, at = {}, 0
    while at < len(content) and content[at]:
        space = content.find(b" ", at, at + 20)
        if space < 0 or not content[at:space].isdigit() or int(content[at:space]) <= space - at:
            raise ScreeningError(Reason.MALFORMED, "pax header")
        end = at + int(content[at:space])
        key, _, value = content[space + 1 : end - 1].partition(b"=")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        at = end
    return records


def _declared_size(extended: dict[str, str], size: int) -> int:
    text = extended.get("size", "")
    if not text:
        return size
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ScreeningError(Reason.MALFORMED, "pax size")
    return int(text)


def _content(read: Read, size: int, most: int) -> bytes:
    """Return the content of an entry; its padding to whole blocks is read too."""
    if size > most:
        raise ScreeningError(Reason.TOO_LARGE, f"tar entry of {size} bytes, limit {most}")
    parts, left = [], size
    while left:
        part = read(min(left, CHUNK))
        if not part:
            raise ScreeningError(Reason.TRUNCATED, "tar entry")
        parts.append(part)
        left -= len(part)
    read(-size % BLOCK)
    return b"".join(parts)


def _skip(read: Read, size: int) -> None:
    left = size + -size % BLOCK
    while left:
        part = read(min(left, CHUNK))
        if not part:
            raise ScreeningError(Reason.TRUNCATED, "tar entry")
        left -= len(part)
