"""Grey values and colours of DICOM objects built byte by byte, against values worked out by hand."""

import struct
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from tests.support.showing import (
    CENTRE,
    HOUNSFIELD,
    INTERCEPT,
    PADDING,
    PADDING_LIMIT,
    RAMP,
    SHAPE,
    SLOPE,
    WIDTH,
    shown,
    slices,
    window,
    windowed,
)
from tests.support.writing import (
    ENHANCED_CT,
    SECONDARY,
    dicom,
    ds,
    element,
    image_module,
    native,
    sequence,
    us,
)


def test_rescale_comes_before_the_window() -> None:
    pixels = shown(native(RAMP, extra=HOUNSFIELD | window(40, 400)))
    assert np.array_equal(pixels, windowed(RAMP.astype(int) - 1024, 40, 400))


def test_the_first_of_several_windows_is_used() -> None:
    several = {CENTRE: ds(CENTRE, 40, 500), WIDTH: ds(WIDTH, 400, 2000)}
    assert np.array_equal(shown(native(RAMP, extra=HOUNSFIELD | several)),
                          shown(native(RAMP, extra=HOUNSFIELD | window(40, 400))))  # fmt: skip


def test_linear_exact_and_sigmoid() -> None:
    exact = shown(native(RAMP, extra=window(2000, 1000, "LINEAR_EXACT")))
    assert np.array_equal(exact, np.rint(np.clip((RAMP - 1500.0) / 1000, 0, 1) * 255).astype(np.uint8))
    sigmoid = shown(native(RAMP, extra=window(2000, 1000, "SIGMOID")))
    assert np.array_equal(sigmoid, np.rint(255 / (1 + np.exp(-4 * (RAMP - 2000.0) / 1000))).astype(np.uint8))


def test_a_window_of_width_one_is_a_threshold() -> None:
    assert np.array_equal(shown(native(RAMP, extra=window(2000, 1))), np.where(RAMP > 1999.5, 255, 0))


def test_without_a_window_percentiles_decide() -> None:
    pixels = shown(native(RAMP), percentiles=(0, 100))
    assert np.array_equal(pixels, np.rint(RAMP / 4080 * 255).astype(np.uint8))


def test_eight_bits_without_attributes_stay_as_they_are() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) + 90
    assert np.array_equal(shown(native(grey, sop_class=SECONDARY, modality="OT")), grey)


@pytest.mark.parametrize(("photometric", "shape", "inverted"), [
    ("MONOCHROME2", "IDENTITY", False), ("MONOCHROME2", "INVERSE", True),
    ("MONOCHROME1", "INVERSE", True), ("MONOCHROME1", None, True),
])  # fmt: skip
def test_inversion_happens_once_and_after_the_window(
    photometric: str, shape: str | None, inverted: bool
) -> None:
    extra = window(2000, 1000) | ({SHAPE: element(SHAPE, "CS", shape.encode())} if shape else {})
    pixels = shown(native(RAMP, photometric=photometric, extra=extra))
    grey = windowed(RAMP, 2000, 1000)
    assert np.array_equal(pixels, 255 - grey if inverted else grey)


def test_padding_is_left_out_of_the_percentiles_and_black() -> None:
    frame = (RAMP // 16).astype(np.int16) + 100
    frame[:4] = -2000
    padded = native(frame, extra={PADDING: element(PADDING, "SS", struct.pack("<h", -2000))})
    pixels = shown(padded, percentiles=(0, 100))
    assert not pixels[:4].any()
    body = frame[4:].astype(float)
    assert np.array_equal(pixels[4:], np.rint((body - body.min()) / (body.max() - body.min()) * 255))


def test_padding_of_monochrome1_is_black_too_and_a_range_counts() -> None:
    frame = RAMP.copy()
    frame[0] = [4000, 4010, 4020] + [4095] * 13
    extra = {PADDING: us(PADDING, 4095), PADDING_LIMIT: us(PADDING_LIMIT, 4000)}
    frame[1, 0] = 3999
    pixels = shown(native(frame, photometric="MONOCHROME1", extra=extra))
    assert not pixels[0].any()
    assert "padding" in slices(native(frame, photometric="MONOCHROME1", extra=extra))[0].applied


def test_unused_high_bits_are_ignored_and_signs_extended() -> None:
    values = np.arange(-128, 128, dtype=np.int16).reshape(16, 16) * 16
    stored = (values.astype(np.int32) & 0xFFF | 0x5000).astype(np.uint16).view(np.int16)
    pixels = shown(native(stored, stored=12, extra=window(0, 2000)))
    assert np.array_equal(pixels, windowed(values, 0, 2000))


def test_one_bit_frames() -> None:
    bits = np.arange(128).reshape(8, 16) % 3 == 0
    packed = np.packbits(bits, axis=None, bitorder="little").tobytes()
    data = dicom(image_module(8, 16, 1), element(0x7FE00010, "OB", packed), sop_class=SECONDARY)
    assert np.array_equal(shown(data), bits * 255)


def lut(first: int, values: np.ndarray[Any, Any], bits: int = 16) -> bytes:
    descriptor = element(0x00283002, "US", struct.pack("<3H", len(values), first & 0xFFFF, bits))
    return descriptor + element(0x00283006, "OW", values.astype("<u2").tobytes())


def test_voi_lut_beats_the_window_and_clips_at_its_ends() -> None:
    table = np.linspace(0, 65535, 256).astype(np.uint16)[::-1]
    extra = window(40, 400) | {0x00283010: sequence(0x00283010, lut(1000, table))}
    index = np.clip(RAMP.astype(int) - 1000, 0, 255)
    assert np.array_equal(shown(native(RAMP, extra=extra)), np.rint(table[index] / 65535 * 255))


def test_modality_lut_beats_slope_and_intercept() -> None:
    table = (np.arange(4096) // 2).astype(np.uint16)
    extra = HOUNSFIELD | window(1000, 500) | {0x00283000: sequence(0x00283000, lut(0, table))}
    assert np.array_equal(shown(native(RAMP, extra=extra)), windowed(RAMP // 2, 1000, 500))


def palette(
    values: np.ndarray[Any, Any], bits: int, first: int = 0, tag: int = 0x00281201
) -> dict[int, bytes]:
    extra = {}
    for channel in range(3):
        descriptor = struct.pack("<3H", len(values) & 0xFFFF, first, bits)
        extra[0x00281101 + channel] = element(0x00281101 + channel, "US", descriptor)
        extra[tag + channel] = element(tag + channel, "OW", values[:, channel].tobytes())
    return extra


@pytest.mark.parametrize(("bits", "kind", "shift"), [(8, np.uint8, 0), (16, np.uint16, 8), (8, np.uint16, 0)])
def test_palettes(bits: int, kind: type, shift: int) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint16) << shift
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = native(index, photometric="PALETTE COLOR", extra=palette(colours.astype(kind), bits),
                  sop_class=SECONDARY)  # fmt: skip
    assert np.array_equal(shown(data), (colours >> shift).astype(np.uint8)[index])


def test_segmented_palette() -> None:
    # discrete 0, 100; linear to 200 in 4 steps; indirect: the first segment again
    words = np.array([0, 2, 0, 100, 1, 4, 200, 2, 1, 0, 0], dtype=np.uint16)
    extra = palette(np.stack([words] * 3, -1), 16, tag=0x00281221)
    for channel in range(3):
        extra[0x00281101 + channel] = us(0x00281101 + channel, 8, 0, 16)
    data = native(np.arange(8, dtype=np.uint8).reshape(2, 4), photometric="PALETTE COLOR", extra=extra)
    assert shown(data)[..., 0].ravel().tolist() == [0, 100, 125, 150, 175, 200, 0, 100]


def test_fixed_ct_windows_are_slices_of_their_own() -> None:
    found = {s.plane: s.pixels for s in slices(native(RAMP, extra=HOUNSFIELD), ct_windows=True)}
    assert set(found) == {"image", "image/lung", "image/soft_tissue", "image/bone"}
    assert np.array_equal(found["image/lung"], windowed(RAMP.astype(int) - 1024, -600, 1500))
    assert np.array_equal(found["image/bone"], windowed(RAMP.astype(int) - 1024, 400, 1800))


def test_functional_groups_hold_slope_and_window_of_each_frame() -> None:
    def transformation(slope: float, intercept: float) -> bytes:
        return sequence(0x00289145, ds(INTERCEPT, intercept) + ds(SLOPE, slope))

    frames = np.stack([RAMP, RAMP])
    shared = sequence(0x52009229, sequence(0x00289132, ds(CENTRE, 100) + ds(WIDTH, 1000)))
    per_frame = sequence(0x52009230, transformation(1, -1024), transformation(0.5, 0))
    data = native(frames, sop_class=ENHANCED_CT, extra={0x52009229: shared, 0x52009230: per_frame})
    first, second = slices(data)
    assert np.array_equal(first.pixels, windowed(RAMP - 1024.0, 100, 1000))
    assert np.array_equal(second.pixels, windowed(RAMP * 0.5, 100, 1000))
    assert first.plane == "frame"
    assert first.applied == ("rescale", "window")


VIEW, SERIES_SIDE, IMAGE_SIDE, FRAME_SIDE = 0x00185101, 0x00200060, 0x00200062, 0x00209072
IMAGE_TYPE, SEQUENCES, CONTRAST = 0x00080008, 0x00180020, 0x00089209


def test_view_side_and_kind_of_series_are_passed_on_as_they_are() -> None:
    said = {
        VIEW: b"pa", SERIES_SIDE: b"R", IMAGE_SIDE: b"L", IMAGE_TYPE: b"ORIGINAL\\PRIMARY\\LOCALIZER\\DOE",
        SEQUENCES: b"SE\\IR", CONTRAST: b"T1",
    }  # fmt: skip
    extra = {tag: element(tag, "CS", value) for tag, value in said.items()}
    (one,) = slices(native(RAMP, extra=extra))
    assert (one.view_position, one.laterality) == ("PA", "L")
    assert one.series_kind == ("LOCALIZER", "T1", "IR", "SE")
    del extra[IMAGE_SIDE]
    assert slices(native(RAMP, extra=extra))[0].laterality == "R"
    (bare,) = slices(native(RAMP))
    assert (bare.view_position, bare.laterality, "".join(bare.series_kind)) == ("", "", "")


def test_each_frame_has_its_own_side() -> None:
    def anatomy(side: bytes) -> bytes:
        return sequence(0x00209071, element(FRAME_SIDE, "CS", side))

    extra = {
        0x52009230: sequence(0x52009230, anatomy(b"L"), anatomy(b"R")),
        SERIES_SIDE: element(SERIES_SIDE, "CS", b"B"),
    }
    found = slices(native(np.stack([RAMP, RAMP]), sop_class=ENHANCED_CT, extra=extra))
    assert [one.laterality for one in found] == ["L", "R"]


def test_uids_leave_as_digests_whatever_is_in_their_place() -> None:
    study, series, instance = 0x0020000D, 0x0020000E, 0x00080018
    extra = {study: element(study, "UI", b"1.2.3\0"), instance: element(instance, "UI", b"DOE^JANE")}
    (one,) = slices(native(RAMP, extra=extra))
    assert one.facts.uids == (sha256(b"1.2.3").digest(), b"", sha256(b"DOE^JANE").digest())
    many = {series: element(series, "UI", b"1.2\\3.4 ")}
    assert slices(native(RAMP, extra=many))[0].facts.uids == (b"", sha256(b"1.2").digest(), b"")
