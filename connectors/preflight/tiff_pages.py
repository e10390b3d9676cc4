"""Which directories of a TIFF are slices: no reduced copies, no masks; channels and hidden planes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from s2sw.connectors.preflight.limits import check_frames
from s2sw.connectors.preflight.tiff import Directory, Tag, chain, read_directory
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

DESCRIPTION_BYTES = 1 << 16
"""So much of a description is looked at."""
_PLAIN = 1
_PIXELS = re.compile(rb"<(?:\w{1,16}:)?Pixels\s([^>]{0,4096})>")
_ATTRIBUTE = re.compile(rb"\b(SizeC|SizeZ|SizeT|DimensionOrder)\s*=\s*[\"'](\w{1,9})[\"']")


@dataclass(frozen=True, slots=True)
class Page:
    """One directory that is shown. place: its number in the chain, -1 if it is not in it or stands for more.

    channel: from 1, where pages are channels of one picture; 0 where they are not.
    """

    directory: Directory
    place: int
    channel: int = 0


@dataclass(frozen=True, slots=True)
class Pages:
    """What a TIFF shows.

    before: all directories of its chain up to the last that is shown. plane: of each slice. masks: whether
    there are any.
    """

    shown: list[Page]
    before: list[Directory]
    plane: str
    masks: bool


def find_pages(data: bytes, limits: Limits) -> Pages:
    """Return what a TIFF shows. Raises TOO_LARGE, TRUNCATED, MALFORMED (no directory)."""
    directories = [read_directory(data, at) for at in chain(data, limits)]
    if not directories:
        raise ScreeningError(Reason.TRUNCATED, "the file ends before its first TIFF directory")
    pages = [Page(each, place) for place, each in enumerate(directories) if not (each.reduced or each.mask)]
    if not pages:
        pages = _below(data, directories, limits)
    if not pages:
        pages = [Page(each, place) for place, each in enumerate(directories) if not each.mask] or [
            Page(directories[0], 0)
        ]
    if len(directories) == 1:
        pages = _behind(data, pages[0], limits)
    description = directories[0].values.get(Tag.DESCRIPTION, b"")
    text = description[:DESCRIPTION_BYTES] if isinstance(description, bytes) else b""
    pages, pictures = _channels(pages, text)
    check_frames(len(pages), limits)
    last = max(page.place for page in pages)
    masks = any(each.mask for each in directories)
    return Pages(pages, directories[: last + 1], "image" if pictures == 1 else "page", masks)


def _below(data: bytes, directories: list[Directory], limits: Limits) -> list[Page]:
    """Return the full pictures that lie below a chain of nothing but small copies, as in camera files."""
    found = []
    for each in directories:
        for at in each.numbers(Tag.SUB_DIRECTORIES):
            below = read_directory(data, at)
            if not (below.reduced or below.mask) and below.number(Tag.ROWS):
                found.append(Page(below, -1))
                check_frames(len(found), limits)
    return found


def _behind(data: bytes, page: Page, limits: Limits) -> list[Page]:
    """Return a page for each plane of a stack that has one directory for all: ImageJ's and MetaMorph's.

    Their planes lie one behind the other, uncompressed.
    """
    directory = page.directory
    planes = len(directory.numbers(Tag.STACK_PLANES)) or _imagej(directory.values.get(Tag.DESCRIPTION)).get(
        "images", 1
    )
    if planes <= 1 or directory.number(Tag.COMPRESSION, _PLAIN) != _PLAIN or not directory.offsets:
        return [page]
    size = directory.packed_bits // 8
    if min(directory.offsets) + planes * size > len(data):
        raise ScreeningError(Reason.TRUNCATED, f"a stack of {planes} planes ends early")
    check_frames(planes, limits)
    return [Page(replace(directory, shift=plane * size), -1) for plane in range(planes)]


def _imagej(description: object) -> dict[str, int]:
    """Return the numbers that ImageJ writes down, by their names; {} of another program's description."""
    if not isinstance(description, bytes) or not description.startswith(b"ImageJ="):
        return {}
    lines = (line.partition(b"=") for line in description[:DESCRIPTION_BYTES].split(b"\n"))
    return {
        name.decode("ascii", "replace"): int(value)
        for name, _, value in lines
        if value.isdigit() and len(value) < 10
    }


def _channels(pages: list[Page], description: bytes) -> tuple[list[Page], int]:
    """Return the pages with their channels, as ImageJ or OME-XML say, and how many pictures they make."""
    channel_of = _order(description, len(pages))
    if channel_of is None or any(page.directory.samples > 1 for page in pages):
        return pages, len(pages)
    named = [replace(page, channel=channel_of(at) + 1) for at, page in enumerate(pages)]
    return named, len(pages) // max(page.channel for page in named)


def _order(description: bytes, pages: int) -> Callable[[int], int] | None:
    """Return the channel (from 0) of each of so many pages; None where channels are no matter of pages."""
    imagej = _imagej(description)
    if imagej.get("channels", 1) > 1 and pages % imagej["channels"] == 0:
        return lambda page: page % imagej["channels"]
    pixels = _PIXELS.search(description)
    if pixels is None:
        return None
    found = {name.decode(): value.decode() for name, value in _ATTRIBUTE.findall(pixels[1])}
    sizes = {
        axis: int(found.get(f"Size{axis}", "1")) if found.get(f"Size{axis}", "1").isdigit() else 1
        for axis in "CZT"
    }
    order = found.get("DimensionOrder", "")[2:]
    if sorted(order) != ["C", "T", "Z"] or sizes["C"] <= 1 or prod(sizes.values()) != pages:
        return None
    step = prod(sizes[axis] for axis in order[: order.index("C")])
    return lambda page: page // step % sizes["C"]
