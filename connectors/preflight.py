"""Cheap refusal before any decoder runs: geometry, declared against actual bytes, unpacked size."""

import zlib

from schemas.decoding import Limits
from schemas.outcomes import Reason, ScreeningError

FREE_BYTES = 64 << 20
"""Up to this size unpacked bytes are not compared with stored ones: small things may compress well."""
CHUNK = 1 << 20


def check_object(data: bytes, limits: Limits) -> None:
    """Refuse empty and oversized objects. Raises EMPTY, TOO_LARGE."""
    if not data:
        raise ScreeningError(Reason.EMPTY)
    if len(data) > limits.object_bytes:
        raise _too_large("object_bytes", len(data), limits.object_bytes)


def check_geometry(rows: int, cols: int, bytes_per_pixel: float, limits: Limits) -> int:
    """Return the bytes of one decoded frame. Raises MALFORMED (a side below 1), TOO_LARGE."""
    if rows < 1 or cols < 1:
        raise ScreeningError(Reason.MALFORMED, f"{rows} x {cols} pixels")
    if max(rows, cols) > limits.side:
        raise _too_large("side", max(rows, cols), limits.side)
    size = int(rows * cols * bytes_per_pixel + 7 / 8)
    if size > limits.frame_bytes:
        raise _too_large("frame_bytes", size, limits.frame_bytes)
    return size


def check_frames(frames: int, limits: Limits) -> None:
    """Refuse objects of too many frames or slices. Raises TOO_LARGE."""
    if frames > limits.frames:
        raise _too_large("frames", frames, limits.frames)


def check_ratio(unpacked: int, stored: int, limits: Limits) -> None:
    """Refuse what unpacks to far more than its stored size can honestly hold. Raises BOMB, TOO_LARGE."""
    if unpacked > FREE_BYTES and unpacked > limits.inflate_ratio * max(1, stored):
        raise ScreeningError(
            Reason.BOMB, f"{unpacked} bytes out of {stored}; limit inflate_ratio is {limits.inflate_ratio}"
        )
    if unpacked > limits.inflated_bytes:
        raise _too_large("inflated_bytes", unpacked, limits.inflated_bytes)


def inflate(data: bytes | memoryview, wbits: int, limits: Limits, cap: int) -> bytes:
    """Return the inflated bytes of a zlib (15), gzip (31) or raw (-15) stream, watching its growth.

    ``cap``: bytes of the result at most. Raises BOMB, TOO_LARGE, TRUNCATED; zlib.error if corrupt.
    """
    stream, out, pending = zlib.decompressobj(wbits), bytearray(), bytes(data)
    while not stream.eof:
        part = stream.decompress(pending, CHUNK)
        if not part and not stream.eof and not stream.unconsumed_tail:
            raise ScreeningError(Reason.TRUNCATED, "compressed stream ends early")
        out += part
        check_ratio(len(out), len(data), limits)
        if len(out) > cap:
            raise _too_large("object_bytes", len(out), cap)
        pending = stream.unconsumed_tail
    return bytes(out)


def _too_large(limit: str, value: int, allowed: int) -> ScreeningError:
    return ScreeningError(Reason.TOO_LARGE, f"{limit} is {value}, limit {allowed}")
