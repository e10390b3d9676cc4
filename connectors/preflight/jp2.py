"""The boxes round a JPEG 2000 codestream that say what its components mean (T.800 annex I)."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.preflight.boxes import boxes, find
from s2sw.connectors.preflight.jpeg2000 import START
from s2sw.schemas.outcomes import Reason, ScreeningError

CMYK, SRGB, GREY, SYCC, E_SRGB, ROMM = 12, 16, 17, 18, 20, 21
"""Enumerated colour spaces that are shown as their samples are (T.800 table I.10, T.801 table M.25)."""
COLOUR, OPACITY, PREMULTIPLIED = 0, 1, 2
"""Types of channels in a channel definition box (T.800 table I.16)."""
_ENUMERATED, _PROFILE = 1, 2
_PROFILE_BYTES = 3 + 128  # the header of a profile alone takes 128 (ICC.1 7.2)


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What the boxes say; of a bare codestream nothing.

    codestream: its offset. space: enumerated colour space, -1 if none is named. profile: whether a colour
    profile is there. palette: entries (entries, columns) and bits of each column. mapping: component and,
    where it goes through the palette, column of each channel. definitions: type and association of channels
    by their number.
    """

    codestream: int
    space: int = -1
    profile: bool = False
    palette: NDArray[np.int64] | None = None
    palette_bits: tuple[int, ...] = ()
    mapping: tuple[tuple[int, int | None], ...] = ()
    definitions: dict[int, tuple[int, int]] = field(default_factory=dict)


def read_wrapping(data: bytes) -> Wrapping:
    """Return what the boxes of a JP2 file say. Raises MALFORMED if there is no codestream."""
    if data.startswith(START):
        return Wrapping(0)
    stream = find(data, b"jp2c")
    if stream is None or data[stream.start : stream.start + 4] != START:
        raise ScreeningError(Reason.MALFORMED, "a JP2 file without a codestream")
    header = find(data, b"jp2h")
    space, profile = -1, False
    found: dict[bytes, bytes] = {}
    for box in boxes(data, header.start, header.end) if header else ():
        content = data[box.start : box.end]
        if box.kind == b"colr":
            if content[:1] == bytes([_ENUMERATED]) and len(content) >= 7 and space < 0:
                space = struct.unpack_from(">I", content, 3)[0]
            # a profile of no bytes says nothing
            profile = profile or (content[:1] == bytes([_PROFILE]) and len(content) >= _PROFILE_BYTES)
        else:
            found.setdefault(box.kind, content)
    palette, bits = _palette(found.get(b"pclr", b""))
    return Wrapping(stream.start, space, profile, palette, bits, _mapping(found.get(b"cmap", b"")),
                    _definitions(found.get(b"cdef", b"")))  # fmt: skip


def _palette(content: bytes) -> tuple[NDArray[np.int64] | None, tuple[int, ...]]:
    """Read a palette box (T.800 I.5.3.4)."""
    if len(content) < 4:
        return None, ()
    entries, columns = struct.unpack_from(">HB", content)
    bits = tuple((each & 0x7F) + 1 for each in content[3 : 3 + columns])
    kinds = [("", ">u1" if each <= 8 else ">u2") for each in bits]
    row = np.dtype([(f"c{at}", kind) for at, (_, kind) in enumerate(kinds)])
    if (
        not 0 < entries <= 1024
        or not bits
        or max(bits) > 16
        or len(content) < 3 + columns + entries * row.itemsize
    ):
        raise ScreeningError(Reason.MALFORMED, "a JP2 palette")
    table = np.frombuffer(content, row, entries, 3 + columns)
    return np.stack([table[name].astype(np.int64) for name in row.names or ()], axis=-1), bits


def _mapping(content: bytes) -> tuple[tuple[int, int | None], ...]:
    """Read a component mapping box (T.800 I.5.3.5): component, and column of the palette or None."""
    entries = struct.iter_unpack(">HBB", content[: len(content) // 4 * 4])
    return tuple((component, column if kind == 1 else None) for component, kind, column in entries)


def _definitions(content: bytes) -> dict[int, tuple[int, int]]:
    """Read a channel definition box (T.800 I.5.3.6)."""
    if len(content) < 2:
        return {}
    count = struct.unpack_from(">H", content)[0]
    entries = struct.iter_unpack(">HHH", content[2 : 2 + min(count, (len(content) - 2) // 6) * 6])
    return {channel: (kind, association) for channel, kind, association in entries}
