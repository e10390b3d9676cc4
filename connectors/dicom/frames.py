"""The frames of a DICOM object, one at a time: where each lies, and its samples as an array."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import JPEGLSTransferSyntaxes, RLELossless

from s2sw.connectors.dicom.codecs import (
    DEFLATED_FRAME,
    J2K_SYNTAXES,
    JPEG_SYNTAXES,
    JXL_SYNTAXES,
    PILLOW,
    PLAIN_SYNTAXES,
    codec,
    native,
)
from s2sw.connectors.dicom.header import ImageHeader
from s2sw.connectors.dicom.jpegxl_frames import check_jxl_frame, decode_jxl_frame
from s2sw.connectors.dicom.layout import EXPLICIT_BIG, EXPLICIT_LITTLE, UNDEFINED, Layout
from s2sw.connectors.grey import Frame
from s2sw.connectors.preflight.inflate import inflate
from s2sw.connectors.preflight.jpeg import adobe_transform, check_scans, jpeg_header, without_padding
from s2sw.connectors.preflight.jpeg2000 import START, check_structure, j2k_header
from s2sw.connectors.preflight.limits import check_ratio
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

RLE_RATIO = 64
ROWS = 256
_END_OF_IMAGE = b"\xff\xd9"
Decoded = tuple[Frame, dict[str, Any]]


Samples = tuple[Frame, tuple[str, ...]]
"""A frame as ``frames`` yields it, and the names of what was done to its colours."""


def frames(layout: Layout, header: ImageHeader, dataset: Dataset, limits: Limits) -> Iterator[Samples]:
    """Yield the samples of each frame, (rows, cols) or (rows, cols, 3), of the object's own type.

    YBR is already converted to RGB.
    """
    if layout.pixel_length != UNDEFINED:
        yield from _native_frames(layout, header)
        return
    for frame in encoded_frames(layout, header, dataset):
        yield _decode(frame, layout.transfer_syntax, header, limits)


def _options(header: ImageHeader) -> dict[str, Any]:
    options: dict[str, Any] = {
        "rows": header.rows, "columns": header.cols, "number_of_frames": 1,
        "samples_per_pixel": header.samples,
        "photometric_interpretation": header.photometric.replace("XYB", "RGB"),
        "bits_allocated": header.bits_allocated, "pixel_keyword": header.pixel_keyword,
    }  # fmt: skip
    if header.pixel_keyword == "PixelData":
        # values that lie higher in their cells are taken out of the whole cells by ``_lowered``
        stored = header.bits_allocated if header.shift else header.bits_stored
        options |= {"bits_stored": stored, "pixel_representation": int(header.signed)}
    if header.samples > 1:
        options["planar_configuration"] = header.planar
    return options


def available_frames(layout: Layout, header: ImageHeader) -> int:
    """Return how many whole frames native pixel data of this length holds."""
    return layout.pixel_length * 8 // header.frame_bits


def _native_frames(layout: Layout, header: ImageHeader) -> Iterator[Samples]:
    decoder = native(EXPLICIT_LITTLE if layout.little else EXPLICIT_BIG)
    pixels = memoryview(layout.data)[layout.pixel_offset : layout.pixel_offset + layout.pixel_length]
    options = _options(header) | {"pixel_vr": layout.pixel_vr, "view_only": True}
    options["number_of_frames"] = header.frames
    for index in range(header.frames):
        samples, properties = decoder.as_array(pixels, index=index, validate=False, raw=True, **options)
        yield _rgb(_lowered(samples, header), properties)


def _lowered(frame: Frame, header: ImageHeader) -> Frame:
    """Return stored values that end at a high bit of their own, without the bits above and below."""
    if not header.shift:
        return frame
    unsigned = np.dtype(f"u{frame.dtype.itemsize}").type
    cells = frame.astype(frame.dtype.newbyteorder("="), copy=False).view(unsigned)
    # up to the top first, so that the way down extends the sign
    up, down = 8 * frame.dtype.itemsize - 1 - header.high_bit, 8 * frame.dtype.itemsize - header.bits_stored
    lifted = np.left_shift(cells, unsigned(up))
    lowered: Frame = lifted.view(f"i{frame.dtype.itemsize}") if header.signed else lifted
    return lowered >> down


def _decode(frame: bytes, syntax: str, header: ImageHeader, limits: Limits) -> Samples:
    if syntax in PLAIN_SYNTAXES:
        return _plain(frame, syntax, header, limits)
    check_frame(frame, syntax, header, limits)
    if syntax in JXL_SYNTAXES:
        return decode_jxl_frame(frame, header), ()
    if syntax in J2K_SYNTAXES:
        # JP2 boxes do not belong here (PS3.5 A.4.4), and pydicom walks round one of length 0 forever
        frame = frame[frame.find(START) :]
    decoder, plugin = codec(syntax)
    options = _options(header) | {"decoding_plugin": plugin}
    found = _first_readable(frame, syntax, lambda stream: decoder.as_array(
        encapsulate([stream]), index=0, validate=False, raw=True, **options))  # fmt: skip
    samples, properties = found
    if header.samples == 3 and syntax in JPEG_SYNTAXES:
        return _by_adobe_marker(samples, properties, adobe_transform(frame), plugin)
    return _rgb(_lowered(samples, header), properties)


def _plain(frame: bytes, syntax: str, header: ImageHeader, limits: Limits) -> Samples:
    frame = inflate(frame, limits, wbits=-15) if syntax == DEFLATED_FRAME else frame
    if len(frame) * 8 < header.frame_bits:
        packed = frame.startswith((b"\xff\xd8\xff", START))
        raise ScreeningError(
            Reason.MALFORMED if packed else Reason.TRUNCATED,
            "compressed frames under a transfer syntax of plain ones"
            if packed
            else "a frame of too few bytes",
        )
    found = native(EXPLICIT_LITTLE).as_array(frame, index=0, validate=False, raw=True, **_options(header))
    return _rgb(_lowered(found[0], header), found[1])


def _first_readable(frame: bytes, syntax: str, decode: Callable[[bytes], Decoded]) -> Decoded:
    """Return what ``decode`` makes of a frame; of JPEG-LS without zeros before its end if need be."""
    if syntax not in JPEGLSTransferSyntaxes:
        return decode(frame)
    error: Exception = RuntimeError()
    for stream in without_padding(frame):
        try:
            return decode(stream)
        except RuntimeError as failure:
            error = failure
    raise error


def _by_adobe_marker(
    samples: Frame, properties: dict[str, Any], transform: int | None, plugin: str
) -> Samples:
    """Convert YBR to RGB; Adobe's marker (TN 5116) knows more of a codestream's colours than the object."""
    if transform == 0:
        return samples, ()
    if transform == 1:
        if plugin != PILLOW[0]:  # which has converted already
            samples, _ = _rgb(samples, {"photometric_interpretation": "YBR_FULL"})
        return samples, ("ybr",)
    return _rgb(samples, properties)


def _rgb(frame: Frame, properties: dict[str, Any]) -> Samples:
    """Convert YBR to RGB as pydicom would, some rows at a time: it works in floats of four times the size."""
    photometric = str(properties["photometric_interpretation"])
    if photometric not in ("YBR_FULL", "YBR_FULL_422"):
        return frame, ("ybr",) if photometric.startswith("YBR") else ()
    out = np.empty_like(frame)
    for start in range(0, frame.shape[0], ROWS):
        out[start : start + ROWS] = convert_color_space(frame[start : start + ROWS], "YBR_FULL", "RGB")
    return out, ("ybr",)


def check_frame(frame: bytes, syntax: str, header: ImageHeader, limits: Limits) -> None:
    """Refuse a frame whose own header contradicts the object's, or that cannot hold it.

    Raises MALFORMED, BOMB, TOO_LARGE.
    """
    if syntax == RLELossless:
        # two bytes stand for at most 128 (PS3.5 annex G.3)
        if header.frame_bits > 8 * RLE_RATIO * len(frame):
            raise ScreeningError(Reason.BOMB, f"RLE frame of {len(frame)} bytes")
        return
    if syntax in JXL_SYNTAXES:
        check_jxl_frame(frame, header, limits)
        return
    found = jpeg_header(frame) if syntax in JPEG_SYNTAXES else j2k_header(frame)
    if found is None:
        raise ScreeningError(Reason.MALFORMED, "frame without a codestream header")
    if (found.rows, found.cols, found.components) != (header.rows, header.cols, header.samples):
        raise ScreeningError(Reason.MALFORMED, "codestream and object disagree on the size of a frame")
    if found.precision > header.bits_allocated:
        raise ScreeningError(Reason.MALFORMED, "a codestream of more bits than the object allocates")
    check_ratio(header.frame_bits // 8, len(frame), limits)
    if syntax in J2K_SYNTAXES:
        check_structure(frame)
    else:
        check_scans(frame, header.rows * header.cols)


def encoded_frames(layout: Layout, header: ImageHeader, dataset: Dataset) -> Iterator[bytes]:
    """Yield the codestream of each frame, at most as many as declared (PS3.5 A.4).

    Which fragments make a frame is told by the extended or basic offset table if there is one, else by
    their number, else by the end-of-image markers in them. Raises TRUNCATED if there is no fragment.
    """
    view = memoryview(layout.data)
    if not layout.fragments[1:]:
        raise ScreeningError(Reason.TRUNCATED, "no fragment of pixel data")
    groups = _by_offset(layout, dataset) or _by_number(layout, header.frames)
    for group in groups[: header.frames]:
        yield b"".join(view[start : start + length] for start, length in group)


Fragments = list[tuple[int, int]]


def _by_offset(layout: Layout, dataset: Dataset) -> list[Fragments] | None:
    table, length = layout.fragments[0]
    first = layout.fragments[1][0] - 8
    extended = dataset.get("ExtendedOffsetTable")
    if isinstance(extended, bytes) and len(extended) >= 8:
        starts = np.frombuffer(extended[: len(extended) // 8 * 8], "<u8").tolist()
    else:
        starts = np.frombuffer(layout.data[table : table + length // 4 * 4], "<u4").tolist()
    items = {start - 8 - first: at for at, (start, _) in enumerate(layout.fragments[1:], 1)}
    if not starts or starts[0] != 0 or any(start not in items for start in starts):
        return None  # no table, or one that points between the items: then it cannot be trusted
    at = [items[start] for start in starts] + [len(layout.fragments)]
    if any(this >= following for this, following in pairwise(at)):
        return None
    return [layout.fragments[this:following] for this, following in pairwise(at)]


def _by_number(layout: Layout, declared: int) -> list[Fragments]:
    fragments = layout.fragments[1:]
    if declared == 1:
        return [fragments]
    if len(fragments) <= declared:
        return [[fragment] for fragment in fragments]
    groups: list[Fragments] = [[]]
    for start, length in fragments:
        groups[-1].append((start, length))
        if _END_OF_IMAGE in layout.data[max(start, start + length - 10) : start + length]:
            groups.append([])
    return [group for group in groups if group]
