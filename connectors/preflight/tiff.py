"""The chain of directories of a TIFF or BigTIFF, walked without reading them (TIFF 6.0 section 2)."""

import struct

from s2sw.connectors.preflight.limits import check_frames
from s2sw.schemas.decoding import Limits


def count_pages(data: bytes, limits: Limits) -> int:
    """Return how many directories a TIFF chains, each once however they point. Raises TOO_LARGE.

    A directory outside the file ends the chain, as readers take it.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    count_of, next_of = (
        (struct.Struct(order + "Q"), struct.Struct(order + "Q"))
        if big
        else (struct.Struct(order + "H"), struct.Struct(order + "I"))
    )
    entry_bytes = 20 if big else 12
    seen: set[int] = set()
    at = 8 if big else 4
    while at + next_of.size <= len(data):
        directory = next_of.unpack_from(data, at)[0]
        if directory in seen or not 0 < directory <= len(data) - count_of.size:
            break
        seen.add(directory)
        check_frames(len(seen), limits)
        at = directory + count_of.size + entry_bytes * count_of.unpack_from(data, directory)[0]
    return len(seen)
