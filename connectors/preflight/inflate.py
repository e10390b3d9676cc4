"""Unpacking deflated streams in parts, watching how much they unpack to."""

import zlib

from s2sw.connectors.preflight.limits import check_inflated, check_ratio, too_large
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

CHUNK = 1 << 20
INPUT_BYTES = 1 << 16


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
            raise too_large("object_bytes", stream.unpacked, limits.object_bytes)
    if not stream.complete:
        raise ScreeningError(Reason.TRUNCATED, "compressed stream ends early")
    return b"".join(parts)
