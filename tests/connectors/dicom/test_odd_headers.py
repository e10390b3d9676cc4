"""Data sets as old and odd writers leave them: groups, byte orders and representations that are not usual."""

import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest

from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.showing import RAMP, shown, slices, window
from tests.support.writing import (
    EXPLICIT,
    SECONDARY,
    dicom,
    element,
    encapsulated,
    file_meta,
    image_module,
    native,
    picture,
)

IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
RIGHT = np.rint(RAMP / 4080 * 255)
PIXELS = 0x7FE00010


def refusal(data: bytes) -> ScreeningError:
    with pytest.raises(ScreeningError) as caught:
        slices(data)
    return caught.value


def looks_right(data: bytes) -> bool:
    return bool(np.array_equal(shown(data, percentiles=(0, 100)), RIGHT))


def implicit(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def body(little: bool = True, is_implicit: bool = False, before: bytes = b"") -> bytes:
    """The data set of a ramp; ``before``: bytes put in front of its group 0028."""
    order, values = (
        "<" if little else ">",
        [(0x00280002, 1), (0x00280010, 16), (0x00280011, 16), (0x00280100, 16)],
    )
    values += [(0x00280101, 16), (0x00280102, 15), (0x00280103, 0)]
    parts = [(0x00080016, b"UI", SECONDARY.encode() + b"\0"), (0x00080060, b"CS", b"OT")]
    parts += [(0x00280004, b"CS", b"MONOCHROME2 ")]
    parts += [(tag, b"US", struct.pack(order + "H", value)) for tag, value in values]
    parts += [(PIXELS, b"OW", RAMP.astype(order + "u2").tobytes())]
    out = b""
    for tag, vr, value in sorted(parts):
        out += before if tag == 0x00280002 else b""
        head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
        if is_implicit:
            out += head + struct.pack("<I", len(value)) + value
        elif vr == b"OW":
            out += head + vr + struct.pack(order + "HI", 0, len(value)) + value
        else:
            out += head + vr + struct.pack(order + "H", len(value)) + value
    return out


def bare_meta(syntax: str) -> bytes:
    """Group 0002 without value representations, as writers before PS3.10 left it."""
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    group = implicit(0x00020001, b"\0\1") + implicit(0x00020002, SECONDARY.encode() + b"\0")
    group += implicit(0x00020010, uid)
    return implicit(0x00020000, struct.pack("<I", len(group))) + group


def test_group_2_without_representations_and_preamble() -> None:
    assert looks_right(bare_meta(IMPLICIT) + body(is_implicit=True))
    assert looks_right(bare_meta(EXPLICIT) + body())
    assert looks_right(bare_meta(BIG) + body(little=False))
    assert looks_right(bytes(128) + b"DICM" + bare_meta(IMPLICIT) + body(is_implicit=True))


@pytest.mark.parametrize("second", [
    file_meta(EXPLICIT)[132:], file_meta("1.2.840.10008.1.2.4.50")[132:], bare_meta(EXPLICIT),
    bare_meta("1.2.840.10008.1.2.4.70"), element(0x00020010, "UI", EXPLICIT.encode()),
], ids=["again", "of another syntax", "implicit", "implicit, of another", "one element"])  # fmt: skip
@pytest.mark.parametrize("where", ["first", "within"])
def test_a_second_group_2_changes_nothing(second: bytes, where: str) -> None:
    for syntax, is_implicit in ((EXPLICIT, False), (IMPLICIT, True)):
        data_set = body(is_implicit=is_implicit, before=second if where == "within" else b"")
        assert looks_right(file_meta(syntax) + (second if where == "first" else b"") + data_set)


def test_a_file_within_a_file() -> None:
    assert looks_right(file_meta(EXPLICIT) + file_meta(EXPLICIT) + body())


def unknown(little_end: bool, depth: int = 1) -> bytes:
    """A private element of unknown length in a big-endian set; its items are little endian."""
    inner = implicit(0x00081150, SECONDARY.encode() + b"\0")
    for _ in range(depth):
        inner = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
        inner = (
            struct.pack("<HHI", 0x0021, 0x1012, 0xFFFFFFFF) + inner + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        )
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    end = struct.pack("<HHI" if little_end else ">HHI", 0xFFFE, 0xE0DD, 0)
    return struct.pack(">HH2sHI", 0x0021, 0x1011, b"UN", 0, 0xFFFFFFFF) + item + end


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("little_end", [True, False])
def test_big_endian_with_elements_of_unknown_length(little_end: bool, depth: int) -> None:
    """PS3.5 6.2.2: what is in them is implicit VR little endian, whatever is around them."""
    assert looks_right(file_meta(BIG) + body(little=False, before=unknown(little_end, depth)))


def test_garbage_in_elements_that_nobody_needs() -> None:
    """Sequences that lie about their lengths, in a private group, stay unread."""
    private = element(0x00210010, "LO", b"ACME") + element(
        0x00211001, "SQ", b"\xfe\xff\x00\xe0\xff\xff\x00\x00oops"
    )
    assert looks_right(file_meta(EXPLICIT) + body(before=private))


@pytest.mark.parametrize("padding", [0, 1, 3, 9])
def test_jpeg_ls_with_zeros_before_its_end(padding: int) -> None:
    stream = imagecodecs.jpegls_encode(RAMP)
    stream = stream[:-2] + bytes(padding) + stream[-2:]
    data = dicom(image_module(16, 16), encapsulated(stream), "1.2.840.10008.1.2.4.80")
    assert looks_right(data)


@pytest.mark.parametrize("syntax", ["110", "112"])
def test_jpeg_xl(syntax: str) -> None:
    uid = f"1.2.840.10008.1.2.4.{syntax}"
    stream = imagecodecs.jpegxl_encode(RAMP, lossless=True)
    assert looks_right(dicom(image_module(16, 16), encapsulated(stream), uid))
    colours = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    stream = imagecodecs.jpegxl_encode(colours, lossless=True)
    module = image_module(16, 16, 8, samples=3, photometric="RGB")
    assert np.array_equal(shown(dicom(module, encapsulated(stream), uid, SECONDARY)), colours)
    two = dicom(
        image_module(16, 16, 8, samples=3, photometric="RGB", frames=2), encapsulated(stream, stream), uid
    )
    assert len(slices(two)) == 2


def test_jpeg_xl_of_a_recompressed_jpeg() -> None:
    jpeg = picture("JPEG", 16, 16, "RGB", quality=95)
    stream = imagecodecs.jpegxl_encode_jpeg(jpeg)
    module = image_module(16, 16, 8, samples=3, photometric="YBR_FULL_422")
    baseline = dicom(module, encapsulated(jpeg), "1.2.840.10008.1.2.4.50", SECONDARY)
    recompressed = dicom(module, encapsulated(stream), "1.2.840.10008.1.2.4.111", SECONDARY)
    assert np.abs(shown(recompressed).astype(int) - shown(baseline)).mean() < 2


@pytest.mark.parametrize(("change", "reason"), [
    ({"rows": 32}, Reason.MALFORMED), ({"samples": 3, "photometric": "RGB"}, Reason.MALFORMED),
    ({"bits": 8}, Reason.MALFORMED),
])  # fmt: skip
def test_jpeg_xl_frames_that_contradict_their_object(change: dict[str, Any], reason: Reason) -> None:
    stream = imagecodecs.jpegxl_encode(RAMP, lossless=True)
    module = image_module(change.pop("rows", 16), 16, change.pop("bits", 16), **change)
    assert refusal(dicom(module, encapsulated(stream), "1.2.840.10008.1.2.4.110")).reason is reason


@pytest.mark.parametrize("syntax", ["53", "55"])
@pytest.mark.parametrize("bits", [8, 12])
def test_retired_processes_of_jpeg(syntax: str, bits: int) -> None:
    """Spectral selection and full progression: what libjpeg calls progressive."""
    uid = f"1.2.840.10008.1.2.4.{syntax}"
    if bits == 8:
        stream = picture("JPEG", 16, 16, "L", progressive=True, quality=95)
        baseline = picture("JPEG", 16, 16, "L", quality=95)
        module = image_module(16, 16, 8)
        right = shown(dicom(module, encapsulated(baseline), "1.2.840.10008.1.2.4.50"))
        assert np.abs(shown(dicom(module, encapsulated(stream), uid)).astype(int) - right).max() <= 3
    else:
        stream = imagecodecs.jpeg8_encode(RAMP, bitspersample=12, level=98)
        data = dicom(image_module(16, 16, 16, stored=12) | window(2048, 4096), encapsulated(stream), uid)
        assert np.abs(shown(data).astype(int) - RAMP / 16).max() <= 4


@pytest.mark.parametrize(("syntax", "name"), [
    ("1.2.840.10008.1.2.4.100", "video"), ("1.2.840.10008.1.2.4.58", "Process 15"), ("1.2.3.4", "unknown"),
])  # fmt: skip
def test_syntaxes_that_are_not_read_are_named(syntax: str, name: str) -> None:
    error = refusal(dicom(image_module(16, 16, 8), encapsulated(bytes(64)), syntax, SECONDARY))
    assert (error.reason, name in error.detail) == (Reason.UNSUPPORTED, True)


def test_an_image_object_without_pixels_is_named_so_and_a_cut_one_is_truncated() -> None:
    whole = native(RAMP)
    start = whole.rindex(struct.pack("<HH", 0x7FE0, 0x0010))
    assert refusal(whole[:start]).reason is Reason.NO_PIXEL_DATA
    assert refusal(whole[: start - 3]).reason is Reason.TRUNCATED
    assert refusal(whole[: start + 30]).reason is Reason.TRUNCATED
