"""Attributes that contradict each other or the pixels: what becomes of them, and its name in ``applied``.

PS3.3 C.7.6.3.1 (image pixel), C.11.1 (modality), C.11.2 (value of interest); PS3.5 8.1.1 (cells).
"""

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.showing import (
    CENTRE,
    HOUNSFIELD,
    INTERCEPT,
    RAMP,
    SLOPE,
    WIDTH,
    shown,
    slices,
    window,
    windowed,
)
from tests.support.writing import (
    JPEG_BASELINE,
    RLE,
    SECONDARY,
    dicom,
    ds,
    element,
    encapsulated,
    image_module,
    native,
    picture,
    sequence,
    us,
)

HIGH_BIT = 0x00280102
MODALITY_LUT, VOI_LUT = 0x00283000, 0x00283010
RLE_RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)


def applied(data: bytes) -> tuple[str, ...]:
    return slices(data)[0].applied


def detail(data: bytes) -> tuple[Reason, str]:
    with pytest.raises(ScreeningError) as caught:
        slices(data)
    return caught.value.reason, caught.value.detail


def exact(values: Any, centre: float, width: float) -> np.ndarray[Any, Any]:
    return np.rint(np.clip((values - (centre - width / 2)) / width, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("slope", "centre", "width"), [(2e-4, 0.4, 0.8), (5e-6, 0.01, 0.02), (1e-3, 2.0, 0.5)]
)
def test_a_window_below_one_unit_is_exact(slope: float, centre: float, width: float) -> None:
    extra = {SLOPE: ds(SLOPE, slope), INTERCEPT: ds(INTERCEPT, 0)} | window(centre, width)
    data = native(RAMP, extra=extra, modality="OT")
    assert np.abs(shown(data).astype(int) - exact(RAMP * slope, centre, width)).max() <= 1
    assert applied(data) == ("rescale", "window", "linear_exact")


def test_a_window_of_one_unit_is_still_a_threshold() -> None:
    data = native(RAMP, extra=window(2000, 1))
    assert np.array_equal(shown(data), np.where(RAMP > 1999.5, 255, 0))
    assert applied(data) == ("window",)


@pytest.mark.parametrize(("centre", "width"), [(100_000, 400), (-5000, 10), (1e9, 1e12)])
def test_a_window_that_leaves_nothing_to_see_is_named_and_replaced(centre: float, width: float) -> None:
    data = native(RAMP, extra=window(centre, width), modality="RTIMAGE")
    (one,) = slices(data, percentiles=(0, 100))
    assert np.array_equal(one.pixels, np.rint(RAMP / 4080 * 255))
    assert one.applied == ("window", "window_leaves_constant", "percentile")


def test_air_stays_black_in_the_window_of_a_ct() -> None:
    air = (RAMP % 7).astype(np.uint16)
    (one,) = slices(native(air, extra=HOUNSFIELD | window(40, 80)))
    assert not one.pixels.any()
    assert one.applied == ("rescale", "window", "window_leaves_constant")
    (bone,) = slices(native(RAMP // 8 + 3000, extra=HOUNSFIELD | window(40, 80)))
    assert "percentile" in bone.applied, "all white is no air"


def test_a_picture_of_one_value_is_no_matter_of_its_window() -> None:
    flat = np.full((16, 16), 900, np.uint16)
    assert applied(native(flat, extra=window(40, 80))) == ("window",)


@pytest.mark.parametrize(("extra", "name"), [
    (window(40, 0), "window_ignored"), (window(40, -4), "window_ignored"),
    ({CENTRE: ds(CENTRE, 40)}, "window_ignored"), ({WIDTH: ds(WIDTH, 40)}, "window_ignored"),
    (window(2000, 400, "CURVED"), "voi_function_ignored"),
    ({CENTRE: ds(CENTRE, 2000, 3), WIDTH: ds(WIDTH, 900, 4)}, "first_window"),
    ({SLOPE: ds(SLOPE, 0), INTERCEPT: ds(INTERCEPT, 5)}, "rescale_ignored"),
])  # fmt: skip
def test_what_is_chosen_or_ignored_has_a_name(extra: dict[int, bytes], name: str) -> None:
    assert name in applied(native(RAMP, extra=extra))


def test_a_slope_or_an_intercept_alone_counts() -> None:
    for alone, values in (
        ({SLOPE: ds(SLOPE, 0.5)}, RAMP * 0.5),
        ({INTERCEPT: ds(INTERCEPT, -1024)}, RAMP - 1024.0),
    ):
        data = native(RAMP, extra=alone | window(300, 900))
        assert np.array_equal(shown(data), windowed(values, 300, 900))
        assert applied(data) == ("rescale", "window")


def lut(
    tag: int, first: int, values: Any, vr: str = "SS", bits: int = 16, descriptor: str = "SS"
) -> dict[int, bytes]:
    """A sequence of one table, its numbers in a VR of choice."""
    count = len(values)
    head = element(0x00283002, descriptor, struct.pack("<3H", count & 0xFFFF, first & 0xFFFF, bits))
    data = element(0x00283006, vr, np.asarray(values).astype("<u2").tobytes())
    return {tag: sequence(tag, head + data)}


@pytest.mark.parametrize("vr", ["US", "SS", "OW"])
@pytest.mark.parametrize("descriptor", ["US", "SS", "UN"])
def test_entries_of_tables_are_unsigned_whatever_they_carry(vr: str, descriptor: str) -> None:
    values = np.linspace(0, 65535, 4096).astype(np.uint16)
    expected = values[RAMP]
    modality = lut(MODALITY_LUT, 0, values, vr, descriptor=descriptor) | window(32768, 65536)
    assert np.array_equal(shown(native(RAMP, extra=modality)), windowed(expected, 32768, 65536))
    voi = lut(VOI_LUT, 0, values, vr, descriptor=descriptor)
    assert np.array_equal(shown(native(RAMP, extra=voi)), np.rint(expected / 65535 * 255))


@pytest.mark.parametrize("descriptor", ["US", "SS"])
def test_the_first_input_is_signed_where_pixels_are(descriptor: str) -> None:
    values = np.linspace(0, 65535, 512).astype(np.uint16)
    signed = (RAMP // 8).astype(np.int16) - 256
    extra = lut(MODALITY_LUT, -256, values, descriptor=descriptor) | window(32768, 65536)
    assert np.array_equal(shown(native(signed, extra=extra)), windowed(values[signed + 256], 32768, 65536))
    unsigned = (RAMP.astype(np.uint32) * 16).astype(np.uint16)
    extra = lut(MODALITY_LUT, 40_000, values, descriptor=descriptor) | window(32768, 65536)
    index = np.clip(unsigned.astype(int) - 40_000, 0, 511)
    assert np.array_equal(shown(native(unsigned, extra=extra)), windowed(values[index], 32768, 65536))


def test_the_first_input_of_a_voi_lut_is_signed_where_modality_values_may_be() -> None:
    values = np.linspace(0, 65535, 512).astype(np.uint16)
    data = native(RAMP, extra=HOUNSFIELD | lut(VOI_LUT, -200, values))
    index = np.clip(RAMP.astype(int) - 1024 + 200, 0, 511)
    assert np.array_equal(shown(data), np.rint(values[index] / 65535 * 255))


def test_a_table_of_65536_entries_and_one_of_more_bits_than_it_says() -> None:
    values = np.arange(65536).astype(np.uint16)
    wide = (RAMP.astype(np.uint32) * 16).astype(np.uint16)
    assert np.array_equal(
        shown(native(wide, extra=lut(VOI_LUT, 0, values, "OW"))), np.rint(wide / 65535 * 255)
    )
    twelve = np.linspace(0, 4095, 4096).astype(np.uint16)
    assert np.array_equal(
        shown(native(RAMP, extra=lut(VOI_LUT, 0, twelve, bits=8))), np.rint(RAMP / 4095 * 255)
    )


def with_high_bit(cells: np.ndarray[Any, Any], stored: int, high: int, signed: int = 0) -> bytes:
    module = image_module(16, 16, 16, stored=stored, signed=signed) | {HIGH_BIT: us(HIGH_BIT, high)}
    module |= window(2000 if not signed else 0, 4000)
    return dicom(module, element(0x7FE00010, "OW", cells.astype("<u2").tobytes()))


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("high", [12, 13, 15])
def test_values_may_lie_higher_in_their_cells_beside_overlays(high: int, signed: int) -> None:
    values = RAMP.astype(int) - (2048 if signed else 0)
    shift = high - 11
    other = (np.arange(256).reshape(16, 16) * 40503) & 0xFFFF & ~(0xFFF << shift)  # overlays above and below
    cells = ((values & 0xFFF) << shift) | other
    data = with_high_bit(cells, 12, high, signed)
    assert np.array_equal(shown(data), windowed(values, 2000 if not signed else 0, 4000))
    assert applied(data)[0] == "high_bit_shifted"


@pytest.mark.parametrize("high", [3, 10, 16, 40])
def test_a_high_bit_where_values_do_not_fit_is_ignored_and_named(high: int) -> None:
    data = with_high_bit(RAMP, 12, high)
    assert np.array_equal(shown(data), windowed(RAMP, 2000, 4000))
    assert applied(data)[0] == "high_bit_ignored"


def test_high_bits_of_rle_and_of_jpeg() -> None:
    cells = (RAMP.astype(np.uint16) << 4).astype(">u2").tobytes()
    segments = [b"".join(bytes([15]) + part[at : at + 16] for at in range(0, 256, 16))
                for part in (cells[0::2], cells[1::2])]  # fmt: skip
    frame = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + segments[0] + segments[1]
    module = image_module(16, 16, 16, stored=12) | {HIGH_BIT: us(HIGH_BIT, 15)} | window(2000, 4000)
    assert np.array_equal(shown(dicom(module, encapsulated(frame), RLE)), windowed(RAMP, 2000, 4000))
    module = image_module(40, 60, 8) | {HIGH_BIT: us(HIGH_BIT, 4)}
    jpeg = dicom(module, encapsulated(picture("JPEG", mode="L")), JPEG_BASELINE, SECONDARY)
    assert applied(jpeg)[0] == "high_bit_ignored"


def test_overlays_in_unused_bits_are_cleared() -> None:
    overlaid = RAMP | np.where(RAMP % 3 == 0, 0x8000, 0).astype(np.uint16)
    data = native(overlaid, stored=12, extra=window(2000, 4000) | {0x60000010: us(0x60000010, 16)})
    assert np.array_equal(shown(data), windowed(RAMP, 2000, 4000))
    assert "overlay_ignored" in applied(data)


CONTRADICTIONS = {
    "BitsStored": {0x00280101: us(0x00280101, 17)},
    "PixelRepresentation": {0x00280103: us(0x00280103, 2)},
    "3 samples a pixel as MONOCHROME2": {0x00280002: us(0x00280002, 3)},
    "1 samples a pixel as RGB": {0x00280004: element(0x00280004, "CS", b"RGB")},
    "BitsAllocated": {0x00280100: us(0x00280100, 0)},
    "photometric": {0x00280004: element(0x00280004, "CS", b"PINK")},
    "12 bits allocated": {0x00280100: us(0x00280100, 12), 0x00280101: us(0x00280101, 12)},
    "palette": {0x00280004: element(0x00280004, "CS", b"PALETTE COLOR")},
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_that_nothing_resolves_are_quarantined_by_name(name: str) -> None:
    module = image_module(16, 16) | CONTRADICTIONS[name]
    reason, words = detail(dicom(module, element(0x7FE00010, "OW", RAMP.tobytes())))
    assert reason in (Reason.MALFORMED, Reason.UNSUPPORTED)
    assert name in words


def test_plain_and_compressed_frames_under_each_other_s_syntax() -> None:
    module = image_module(16, 16, 16)
    plain = dicom(module, element(0x7FE00010, "OW", RAMP.tobytes()), JPEG_BASELINE)
    assert "native_pixels" in applied(plain)
    assert np.array_equal(shown(plain, percentiles=(0, 100)), np.rint(RAMP / 4080 * 255))
    jpeg = dicom(image_module(400, 600, 8), encapsulated(picture("JPEG", 400, 600, "L")))
    assert detail(jpeg) == (Reason.MALFORMED, "compressed frames under a transfer syntax of plain ones")


def jpeg_with(marker: bytes) -> bytes:
    """A JPEG of one YCbCr colour whose first segment is another."""
    plain = picture("JPEG", 16, 16, "RGB", quality=95, subsampling=0)
    return plain[:2] + marker + plain[20:]


def adobe(transform: int) -> bytes:
    return b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, transform)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("syntax", [JPEG_BASELINE, "1.2.840.10008.1.2.4.51"])
def test_what_a_codestream_says_of_its_colours_counts(photometric: str, syntax: str) -> None:
    jfif = picture("JPEG", 16, 16, "RGB", quality=95, subsampling=0)
    right = np.asarray(Image.open(BytesIO(jfif)))
    for stream in (jfif, jpeg_with(adobe(1))):
        module = image_module(16, 16, 8, samples=3, photometric=photometric)
        data = dicom(module, encapsulated(stream), syntax, SECONDARY)
        assert np.abs(shown(data).astype(int) - right).mean() < 3
        assert "ybr" in applied(data)
