"""A walk over the elements of a DICOM object without reading values: depth, truncation, where pixels lie.

pydicom drops a truncated last element without an error and follows sequences by recursion; this walk,
without recursion, tells truncation from absence and refuses deep nesting first (PS3.5 section 7).
"""

import struct
from dataclasses import dataclass, field

from s2sw.connectors.preflight.inflate import inflate
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
PIXEL_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", PIXEL_DATA: "PixelData"}
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

_GROUP_0028, _OVERLAYS = range(0x00280000, 0x00290000), range(0x60000000, 0x60200000)
_WANTED = frozenset((
    0x00080016,  # SOP Class UID
    0x00100020, 0x00100021,  # Patient ID and its issuer, for their digest alone
    0x0020000D, 0x0020000E, 0x00080018,  # Study, Series and SOP Instance UID, for their digests alone
    0x00080060,  # Modality
    0x00180015,  # Body Part Examined
    0x00185101, 0x00200060, 0x00200062,  # View Position, Laterality and Image Laterality
    0x00080008, 0x00180020, 0x00089209,  # Image Type, Scanning Sequence, Acquisition Contrast
    0x00189004, 0x00089205,  # Content Qualification, Pixel Presentation
    0x00181164, 0x00182010,  # Imager and Nominal Scanned Pixel Spacing
    0x00200013, 0x00200020,  # Instance Number, Patient Orientation
    0x00200032, 0x00200037,  # Image Position and Orientation (Patient)
    0x20500020,  # Presentation LUT Shape
    0x52009229, 0x52009230,  # Shared and Per-frame Functional Groups
    0x7FE00001, 0x7FE00002,  # Extended Offset Table and Lengths
))  # fmt: skip
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_FORM = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV",
                        b"UC", b"UN", b"UR", b"UT", b"UV"))  # fmt: skip
_MAX_ELEMENTS = 5_000_000
_FREE_FRAGMENTS = 4096
_MIN_FRAGMENT_BYTES = 64
"""On average, once there are more than ``_FREE_FRAGMENTS`` of them."""


@dataclass(slots=True)
class Layout:
    """Where the parts of one object lie in ``data`` (which differs from the file if that was deflated).

    media_class: SOP class of the file meta group. body: offset of the first element after that group.
    implicit, little: how the body is written. forced: there was no preamble and prefix. truncated: the bytes
    end inside an element. pixel_tag: 0 if there are no pixels. pixel_offset, pixel_length: their value;
    length UNDEFINED if encapsulated, then fragments holds (offset, length) of each item, offset table first.
    elements: where the elements start and end that decoding needs, and no others.
    """

    data: bytes
    transfer_syntax: str = ""
    media_class: str = ""
    body: int = 0
    implicit: bool = False
    little: bool = True
    forced: bool = False
    truncated: bool = False
    pixel_tag: int = 0
    pixel_vr: str = ""
    pixel_offset: int = 0
    pixel_length: int = 0
    fragments: list[tuple[int, int]] = field(default_factory=list)
    elements: list[tuple[int, int]] = field(default_factory=list)


class _End(Exception):  # noqa: N818 - control flow: the bytes end inside an element
    pass


def scan(data: bytes, limits: Limits) -> Layout:
    """Return the layout of a DICOM object. Raises ScreeningError: TOO_LARGE (nesting), BOMB, MALFORMED."""
    layout = Layout(data, forced=data[128:132] != b"DICM")
    layout.body = _read_meta(layout, 0 if layout.forced else 132)
    while data[layout.body + 128 : layout.body + 132] == b"DICM":  # a file that was put into a file whole
        layout.body = _read_meta(layout, layout.body + 132)
    if layout.transfer_syntax == DEFLATED:
        plain = inflate(memoryview(data)[layout.body :], limits, wbits=-15)
        layout.data, layout.body = plain, 0
    layout.little = layout.transfer_syntax != EXPLICIT_BIG
    if not layout.transfer_syntax:
        layout.little = layout.data[layout.body : layout.body + 2] != b"\x00\x08"
    layout.implicit = not _looks_explicit(layout.data, layout.body)
    try:
        _walk(layout, limits)
    except (_End, struct.error):
        layout.truncated = True
    return layout


def _looks_explicit(data: bytes, offset: int) -> bool:
    # as pydicom does: two capital letters where an explicit VR would be, whatever the transfer syntax says
    vr = data[offset + 4 : offset + 6]
    return len(vr) == 2 and vr.isalpha() and vr.isupper()


def _read_meta(layout: Layout, offset: int) -> int:
    """Read group 0002 (explicit little endian, PS3.10 7.1) for the transfer syntax; return where it ends.

    Where it comes twice, the first counts.
    """
    data = layout.data
    while data[offset : offset + 2] == b"\x02\x00" and len(data) >= offset + 8:
        element, vr = data[offset + 2 : offset + 4], data[offset + 4 : offset + 6]
        if vr in _LONG_FORM:
            length, value = int.from_bytes(data[offset + 8 : offset + 12], "little"), offset + 12
        elif vr.isalpha() and vr.isupper():
            length, value = int.from_bytes(data[offset + 6 : offset + 8], "little"), offset + 8
        else:
            length, value = int.from_bytes(data[offset + 4 : offset + 8], "little"), offset + 8
        uid = data[value : value + min(length, 64)].rstrip(b"\x00 ").decode("ascii", "replace")
        if element == b"\x02\x00":
            layout.media_class = layout.media_class or uid
        elif element == b"\x10\x00":
            layout.transfer_syntax = layout.transfer_syntax or uid
        offset = value + length
    return min(offset, len(data))


def is_wanted(tag: int) -> bool:
    """Tell whether decoding needs an element of the top level."""
    return tag in _GROUP_0028 or tag in _WANTED or tag in _OVERLAYS


def _walk(layout: Layout, limits: Limits) -> None:
    """Go from element to element up to the pixels; what follows them does not matter here."""
    data, offset, end = layout.data, layout.body, len(layout.data)
    depth = 0  # of open sequences and items with undefined length
    # depth at which an UN sequence was opened: implicit VR little endian, whatever is around it (PS3.5 6.2.2)
    implicit_from = 0
    wanted = -1  # where a wanted element of the top level began
    for _ in range(_MAX_ELEMENTS):
        if end - offset < 8:
            layout.truncated = depth > 0 or any(data[offset:end])
            _close(layout, wanted, offset)
            return
        start, little = offset, _is_little(layout, offset, implicit_from > 0)
        group, element = struct.unpack_from("<HH" if little else ">HH", data, offset)
        tag = group << 16 | element
        implicit = group == 0xFFFE or implicit_from > 0 or (layout.implicit and group != 2)
        vr, length, offset = _head(data, offset, implicit, little)
        if depth == 0 and tag not in (_ITEM_END, _SEQUENCE_END):
            _close(layout, wanted, start)
            wanted = start if is_wanted(tag) else -1
            if tag in PIXEL_TAGS:
                _note_pixels(layout, tag, vr, offset, length)
                return
        if tag in (_ITEM_END, _SEQUENCE_END):
            depth = max(0, depth - 1)
            implicit_from = 0 if depth < implicit_from else implicit_from
        elif length == UNDEFINED:
            depth += 1
            implicit_from = depth if vr == b"UN" and not implicit_from else implicit_from
            # one level of nesting opens a sequence and an item
            if depth > 2 * limits.nesting:
                raise ScreeningError(Reason.TOO_LARGE, f"nesting deeper than {limits.nesting}")
        else:
            offset += length
        if offset > end:
            raise _End
    raise ScreeningError(Reason.TOO_LARGE, f"more than {_MAX_ELEMENTS} elements")


def _close(layout: Layout, start: int, end: int) -> None:
    if start >= 0:
        layout.elements.append((start, end))


def _is_little(layout: Layout, offset: int, within_unknown: bool) -> bool:
    """Tell the byte order of an element; writers differ on that of the delimiter behind an UN sequence."""
    if layout.little or not within_unknown:
        return layout.little
    return layout.data[offset : offset + 2] != b"\xff\xfe"


def _head(data: bytes, offset: int, implicit: bool, little: bool) -> tuple[bytes, int, int]:
    """Return VR (empty if implicit), length and offset of the value of the element at ``offset``."""
    order = "<" if little else ">"
    vr = data[offset + 4 : offset + 6]
    if implicit or not (vr.isalpha() and vr.isupper()):
        return b"", struct.unpack_from(order + "I", data, offset + 4)[0], offset + 8
    if vr in _LONG_FORM:
        return vr, struct.unpack_from(order + "I", data, offset + 8)[0], offset + 12
    return vr, struct.unpack_from(order + "H", data, offset + 6)[0], offset + 8


def _note_pixels(layout: Layout, tag: int, vr: bytes, offset: int, length: int) -> None:
    layout.pixel_tag, layout.pixel_vr = tag, vr.decode("ascii") or "OW"
    layout.pixel_offset, layout.pixel_length = offset, length
    data, end = layout.data, len(layout.data)
    if length != UNDEFINED:
        layout.truncated = offset + length > end
        return
    first, fragments = offset, layout.fragments
    while end - offset >= 8:
        item, length = data[offset : offset + 4], int.from_bytes(data[offset + 4 : offset + 8], "little")
        offset += 8
        if item == b"\xfe\xff\xdd\xe0":
            return
        if item != b"\xfe\xff\x00\xe0" or length == UNDEFINED:
            raise ScreeningError(Reason.MALFORMED, "bad item among the pixel data")
        if len(fragments) > _FREE_FRAGMENTS and offset - first < _MIN_FRAGMENT_BYTES * len(fragments):
            raise ScreeningError(Reason.MALFORMED, f"{len(fragments)} all but empty fragments")
        fragments.append((offset, min(length, end - offset)))
        offset += length
    raise _End
