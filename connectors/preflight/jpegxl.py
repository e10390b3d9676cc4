"""The header of a JPEG XL codestream (ISO/IEC 18181-1 annex D): size, depth, extra channels, animation."""

from collections.abc import Callable
from dataclasses import dataclass, field

from s2sw.connectors.preflight.boxes import find
from s2sw.schemas.outcomes import Reason, ScreeningError

START = b"\xff\x0a"
CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
ALPHA, SPOT, BLACK, FILTER = 0, 2, 4, 5
"""Types of extra channels (table D.9) that matter here; FILTER is a colour filter array."""
HEADER_BYTES = 1 << 16

# distributions of U32 (9.2.2): for each of four selectors its offset and how many bits follow
_SIZE = ((1, 9), (1, 13), (1, 18), (1, 30))
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_PREVIEW = ((1, 6), (65, 8), (321, 10), (1345, 12))
_PREVIEW_BLOCKS = ((16, 0), (32, 0), (1, 5), (33, 9))
_TICKS, _TICKS_IN, _LOOPS = (
    ((100, 0), (1000, 0), (1, 10), (1, 30)),
    ((1, 0), (1001, 0), (1, 8), (1, 10)),
    ((0, 0), (0, 3), (0, 16), (0, 32)),
)
_WHOLE_BITS, _FLOAT_BITS = ((8, 0), (10, 0), (12, 0), (1, 6)), ((32, 0), (16, 0), (24, 0), (1, 6))
_EXTRAS, _ENUM = ((0, 0), (1, 0), (2, 4), (1, 12)), ((0, 0), (1, 0), (2, 4), (18, 6))
_SHIFT, _NAME, _CFA = (
    ((0, 0), (3, 0), (4, 0), (1, 3)),
    ((0, 0), (0, 4), (16, 5), (48, 10)),
    ((1, 0), (0, 2), (3, 4), (19, 8)),
)
Distribution = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(slots=True)
class JxlHeader:
    """rows, cols: as stored, before orientation. bits: of a sample; floating: whether samples are floats.

    orientation: as in EXIF. extras: types of the extra channels, in order. premultiplied: of the first alpha.
    """

    rows: int = 0
    cols: int = 0
    bits: int = 8
    floating: bool = False
    orientation: int = 1
    animated: bool = False
    extras: list[int] = field(default_factory=list)
    premultiplied: bool = False


class _Bits:
    """Reads bits, the lowest of each byte first; behind the end there is nothing."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ScreeningError(Reason.TRUNCATED, "the file ends within the JPEG XL header")
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return found

    def flag(self) -> bool:
        return bool(self.take(1))

    def number(self, distribution: Distribution) -> int:
        offset, count = distribution[self.take(2)]
        return offset + self.take(count)


def read_jxl(data: bytes) -> JxlHeader:
    """Return the header of a JPEG XL file, bare or in boxes. Raises TRUNCATED, MALFORMED."""
    bits = _Bits(_codestream(data)[len(START) : 1024])
    header = JxlHeader()
    header.rows, header.cols = _size(bits)
    if not bits.flag():
        _read_metadata(bits, header)
    return header


def _codestream(data: bytes) -> bytes:
    if data.startswith(START):
        return data[:HEADER_BYTES]
    whole, part = find(data, b"jxlc"), find(data, b"jxlp")
    start = whole.start if whole else part.start + 4 if part else len(data)
    if data[start : start + 2] != START:
        raise ScreeningError(Reason.MALFORMED, "a JPEG XL file without a codestream")
    return data[start : start + HEADER_BYTES]


def _size(bits: _Bits) -> tuple[int, int]:
    """Read a SizeHeader (D.2): rows and columns."""
    small = bits.flag()

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.number(_SIZE)

    return _sides(side, bits)


def _sides(side: Callable[[], int], bits: _Bits) -> tuple[int, int]:
    rows = side()
    ratio = bits.take(3)
    if not ratio:
        return rows, side()
    top, bottom = _RATIOS[ratio]
    return rows, rows * top // bottom


def _read_metadata(bits: _Bits, header: JxlHeader) -> None:
    """Read an ImageMetadata bundle up to its extra channels (D.3)."""
    if bits.flag():
        header.orientation = bits.take(3) + 1
        if bits.flag():
            _size(bits)
        if bits.flag():
            distribution = _PREVIEW_BLOCKS if bits.flag() else _PREVIEW
            _sides(lambda: bits.number(distribution), bits)
        header.animated = bits.flag()
        if header.animated:
            for distribution in (_TICKS, _TICKS_IN, _LOOPS):
                bits.number(distribution)
            bits.flag()
    header.floating, header.bits = _depth(bits)
    bits.flag()
    for _ in range(bits.number(_EXTRAS)):
        kind, premultiplied = _extra(bits)
        if kind == ALPHA and ALPHA not in header.extras:
            header.premultiplied = premultiplied
        header.extras.append(kind)


def _depth(bits: _Bits) -> tuple[bool, int]:
    floating = bits.flag()
    if not floating:
        return False, bits.number(_WHOLE_BITS)
    depth = bits.number(_FLOAT_BITS)
    bits.take(4)
    return True, depth


def _extra(bits: _Bits) -> tuple[int, bool]:
    """Read an ExtraChannelInfo (D.3.6): its type, and of alpha whether colours are multiplied by it."""
    if bits.flag():
        return ALPHA, False
    kind = bits.number(_ENUM)
    _depth(bits)
    bits.number(_SHIFT)
    bits.take(8 * bits.number(_NAME))
    premultiplied = bits.flag() if kind == ALPHA else False
    if kind == SPOT:
        bits.take(4 * 16)
    if kind == FILTER:
        bits.number(_CFA)
    return kind, premultiplied
