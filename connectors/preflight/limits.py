"""Cheap refusal before any decoder runs: geometry, declared against actual bytes, unpacked size."""

from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

FREE_BYTES = 32 << 20
"""Up to this size unpacked bytes are not compared with stored ones: small things may compress well."""


def check_object(data: bytes, limits: Limits) -> None:
    """Refuse empty and oversized objects. Raises EMPTY, TOO_LARGE."""
    if not data:
        raise ScreeningError(Reason.EMPTY)
    if len(data) > limits.object_bytes:
        raise too_large("object_bytes", len(data), limits.object_bytes)


def check_geometry(rows: int, cols: int, bytes_per_pixel: float, limits: Limits) -> int:
    """Return the bytes of one decoded frame. Raises MALFORMED (a side below 1), TOO_LARGE."""
    if rows < 1 or cols < 1:
        raise ScreeningError(Reason.MALFORMED, f"{rows} x {cols} pixels")
    if max(rows, cols) > limits.side:
        raise too_large("side", max(rows, cols), limits.side)
    size = int(rows * cols * bytes_per_pixel + 7 / 8)
    if size > limits.frame_bytes:
        raise too_large("frame_bytes", size, limits.frame_bytes)
    return size


def check_frames(frames: int, limits: Limits) -> None:
    """Refuse objects of too many frames or slices. Raises TOO_LARGE."""
    if frames > limits.frames:
        raise too_large("frames", frames, limits.frames)


def check_ratio(unpacked: int, stored: int, limits: Limits) -> None:
    """Refuse what unpacks to far more than its stored size can honestly hold. Raises BOMB."""
    if unpacked > FREE_BYTES and unpacked > limits.inflate_ratio * max(1, stored):
        raise ScreeningError(
            Reason.BOMB, f"{unpacked} bytes out of {stored}; limit inflate_ratio is {limits.inflate_ratio}"
        )


class Unpacking:
    """Adds up what the pages or frames of one object unpack to.

    A blank page packs so well that many of them together look like a bomb, though none is one by itself.
    """

    def __init__(self, stored: int, limits: Limits) -> None:
        """``stored``: bytes of the whole object."""
        self._stored, self._limits = stored, limits
        self._total = self._total_stored = 0

    def add(self, unpacked: int, stored: int | None = None) -> None:
        """Count one page, and its own stored bytes where they are known.

        Raises BOMB: by itself; with all others above ``inflated_bytes``; or with others over the same bytes.
        """
        check_ratio(unpacked, self._stored if stored is None else min(stored, self._stored), self._limits)
        self._total += unpacked
        self._total_stored += stored or 0
        if self._total > self._limits.inflated_bytes or self._total_stored > self._stored:
            check_ratio(self._total, self._stored, self._limits)


def check_inflated(unpacked: int, stored: int, limits: Limits) -> None:
    """Refuse a compressed object by what it unpacks to, in relation and in all. Raises BOMB, TOO_LARGE."""
    check_ratio(unpacked, stored, limits)
    if unpacked > limits.inflated_bytes:
        raise too_large("inflated_bytes", unpacked, limits.inflated_bytes)


def too_large(limit: str, value: int, allowed: int) -> ScreeningError:
    """Return the error of an object above a limit, named by its key."""
    return ScreeningError(Reason.TOO_LARGE, f"{limit} is {value}, limit {allowed}")
