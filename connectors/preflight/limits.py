"""Cheap refusal before any decoder runs: geometry, declared against actual bytes, unpacked size."""

import zlib

from schemas.decoding import Limits
from schemas.outcomes import Reason, ScreeningError

FREE_BYTES = 32 << 20
"""Up to this size unpacked bytes are not compared with stored ones: small things may compress well."""
CHUNK = 1 << 20
INPUT_BYTES = 1 << 16


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
    """Refuse what unpacks to far more than its stored size can honestly hold. Raises BOMB."""
    if unpacked > FREE_BYTES and unpacked > limits.inflate_ratio * max(1, stored):
        raise ScreeningError(
            Reason.BOMB, f"{unpacked} bytes out of {stored}; limit inflate_ratio is {limits.inflate_ratio}"
        )


def check_inflated(unpacked: int, stored: int, limits: Limits) -> None:
    """Refuse a compressed object by what it unpacks to, in relation and in all. Raises BOMB, TOO_LARGE."""
    check_ratio(unpacked, stored, limits)
    if unpacked > limits.inflated_bytes:
        raise _too_large("inflated_bytes", unpacked, limits.inflated_bytes)


def _too_large(limit: str, value: int, allowed: int) -> ScreeningError:
    return ScreeningError(Reason.TOO_LARGE, f"{limit} is {value}, limit {allowed}")


class Inflater:
    """Reads a deflated stream in parts, watching how much it unpacks to.

    wbits as in zlib: 31 gzip (several members in a row make one stream), 15 zlib, -15 raw deflate.
    """

    def __init__(self, data: bytes | memoryview, limits: Limits, wbits: int = 31) -> None:
        self._view, self._at, self._limits, self._wbits = memoryview(data), 0, limits, wbits
        self._stream, self._pending, self.unpacked = zlib.decompressobj(wbits), b"", 0

    @property
    def complete(self) -> bool:
        """Whether the end of the stream was reached and not merely the end of the bytes."""
        return self._stream.eof

    @property
    def consumed(self) -> int:
        """Stored bytes read so far."""
        return min(self._at, len(self._view)) - len(self._pending)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end. Raises BOMB, TOO_LARGE; zlib.error if corrupt."""
        out = bytearray()
        while len(out) < size:
            if self._stream.eof and not self._next_member():
                break
            if not self._pending:
                self._pending = bytes(self._view[self._at : self._at + INPUT_BYTES])
                self._at += INPUT_BYTES
            part = self._stream.decompress(self._pending, size - len(out))
            if not self._pending and not part:
                break
            out += part
            self._pending = self._stream.unconsumed_tail
        self.unpacked += len(out)
        check_inflated(self.unpacked, len(self._view), self._limits)
        return bytes(out)

    def _next_member(self) -> bool:
        rest = self._stream.unused_data or bytes(self._view[self._at : self._at + 2])
        if self._wbits != 31 or not rest.startswith(b"\x1f\x8b"):
            return False
        self._pending, self._stream = self._stream.unused_data, zlib.decompressobj(self._wbits)
        return True

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes without holding them."""
        while size > 0 and (part := self.read(min(size, CHUNK))):
            size -= len(part)


def inflate(data: bytes | memoryview, limits: Limits, wbits: int = 31) -> bytes:
    """Return all of a deflated stream, at most ``object_bytes``.

    A stream that starts out as a bomb is refused then, without unpacking the rest.
    Raises BOMB, TOO_LARGE, TRUNCATED; zlib.error if corrupt.
    """
    stream, parts = Inflater(data, limits, wbits), []
    while part := stream.read(CHUNK):
        parts.append(part)
        check_ratio(stream.unpacked, stream.consumed, limits)
        if stream.unpacked > limits.object_bytes:
            raise _too_large("object_bytes", stream.unpacked, limits.object_bytes)
    if not stream.complete:
        raise ScreeningError(Reason.TRUNCATED, "compressed stream ends early")
    return b"".join(parts)
