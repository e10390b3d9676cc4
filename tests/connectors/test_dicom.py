"""DICOM objects built byte by byte: what is shown of each, checked against values worked out by hand."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate

from connectors.decode import decode
from connectors.dicom_codecs import CODECS, codec, missing_codecs
from connectors.slices import Slice
from schemas.decoding import DecodeSettings
from schemas.outcomes import Reason, ScreeningError, Status, status_of
from tests.connectors.writing import (
    CT,
    ENHANCED_CT,
    EXPLICIT,
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

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
SLOPE, INTERCEPT, CENTRE, WIDTH, FUNCTION = 0x00281053, 0x00281052, 0x00281050, 0x00281051, 0x00281056
PADDING, PADDING_LIMIT, SHAPE = 0x00280120, 0x00280121, 0x20500020
HOUNSFIELD = {SLOPE: ds(SLOPE, 1), INTERCEPT: ds(INTERCEPT, -1024)}


def slices(data: bytes, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**settings))[1])


def shown(data: bytes, **settings: Any) -> np.ndarray[Any, Any]:
    (only,) = slices(data, **settings)
    return only.pixels


def refusal(data: bytes, **settings: Any) -> Reason:
    with pytest.raises(ScreeningError) as caught:
        slices(data, **settings)
    return caught.value.reason


def windowed(values: Any, centre: float, width: float) -> np.ndarray[Any, Any]:
    """The formula of PS3.3 C.11.2.1.2.1 as it is printed there, for outputs 0 to 255."""
    x = np.asarray(values, dtype=np.float64)
    inside = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 255
    grey = np.where(
        x <= centre - 0.5 - (width - 1) / 2, 0, np.where(x > centre - 0.5 + (width - 1) / 2, 255, inside)
    )
    return np.rint(grey).astype(np.uint8)


def window(centre: float, width: float, function: str | None = None) -> dict[int, bytes]:
    extra = {CENTRE: ds(CENTRE, centre), WIDTH: ds(WIDTH, width)}
    return extra | ({FUNCTION: element(FUNCTION, "CS", function.encode())} if function else {})


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


def test_frames_beyond_the_declared_ones_are_noted_and_not_shown() -> None:
    frames = np.stack([RAMP] * 3)
    data = native(frames).replace(element(0x00280008, "IS", b"3"), element(0x00280008, "IS", b"2"))
    found = slices(data)
    assert len(found) == 2
    assert "excess_frames" in found[0].applied


def test_missing_frames_are_truncation() -> None:
    data = native(np.stack([RAMP] * 3)).replace(
        element(0x00280008, "IS", b"3"), element(0x00280008, "IS", b"4")
    )
    assert refusal(data) is Reason.TRUNCATED


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_file_is_truncated_wherever_it_is_cut(fraction: float) -> None:
    data = native(RAMP, extra=HOUNSFIELD)
    assert refusal(data[: int(len(data) * fraction)]) is Reason.TRUNCATED


def jpeg_object(pixels: bytes, frames: int, rows: int = 40, cols: int = 60) -> bytes:
    return dicom(image_module(rows, cols, 8, frames=frames), pixels, JPEG_BASELINE, SECONDARY)


JPEG = picture("JPEG", mode="L")


@pytest.mark.parametrize("pixels", [
    encapsulated(JPEG, JPEG, JPEG),
    encapsulated(JPEG[:300], JPEG[300:], JPEG[:200], JPEG[200:], JPEG),
    encapsulated(JPEG, JPEG, JPEG, table=struct.pack("<3I", 0, len(JPEG) + len(JPEG) % 2 + 8,
                                                     2 * (len(JPEG) + len(JPEG) % 2 + 8))),
    encapsulated(JPEG, JPEG, JPEG, JPEG),
    encapsulated(JPEG, JPEG, JPEG, table=struct.pack("<3I", 0, 5, 9)),
], ids=["a fragment each", "split, no table", "table", "one too many", "wrong table"])  # fmt: skip
def test_encapsulated_frames_are_found(pixels: bytes) -> None:
    found = slices(jpeg_object(pixels, 3))
    assert len(found) == 3
    assert all(np.array_equal(s.pixels, found[0].pixels) for s in found)


def test_fewer_encapsulated_frames_than_declared() -> None:
    assert len(slices(jpeg_object(encapsulated(JPEG, JPEG), 3))) == 2
    assert refusal(jpeg_object(encapsulated(JPEG, JPEG)[:-200], 3)) in (Reason.TRUNCATED, Reason.MALFORMED)


def test_a_frame_of_another_size_than_declared_is_refused() -> None:
    assert refusal(jpeg_object(encapsulated(JPEG), 1, rows=60, cols=40)) is Reason.MALFORMED


def test_rle_frames() -> None:
    literal = RAMP.astype(">u2").tobytes()
    segments = [b"".join(bytes([15]) + part[at : at + 16] for at in range(0, 256, 16))
                for part in (literal[0::2], literal[1::2])]  # fmt: skip
    frame = struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + segments[0] + segments[1]
    data = dicom(image_module(16, 16), encapsulated(frame), RLE)
    assert np.array_equal(shown(data, percentiles=(0, 100)), np.rint(RAMP / 4080 * 255))


def test_no_preamble_and_no_meta_group() -> None:
    data = native(RAMP)
    (bare,) = slices(data[132:])
    assert bare.applied[0] == "forced"
    body = data[data.index(b"\x08\x00\x16\x00") :]
    (barer,) = slices(body)
    assert np.array_equal(barer.pixels, bare.pixels)


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.33", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.88.59", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.11.1", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.104.1", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.481.5", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.481.3", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.66", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.1.3.10", Reason.NOT_AN_IMAGE),
        ("1.2.840.10008.5.1.4.1.1.66.4", Reason.DERIVED_LABELS),
        ("1.2.840.10008.5.1.4.1.1.481.2", Reason.DERIVED_LABELS),
        ("1.2.840.10008.5.1.4.1.1.30", Reason.DERIVED_LABELS),
        (CT, Reason.TRUNCATED),
        ("1.2.3.4.5", Reason.NOT_AN_IMAGE),
    ],
)
def test_objects_without_a_photograph(sop_class: str, reason: Reason) -> None:
    found = refusal(dicom({}, b"", sop_class=sop_class))
    assert found is reason
    assert status_of(found) is (Status.QUARANTINED if reason is Reason.TRUNCATED else Status.NO_PIXELS)


def test_derived_objects_are_shown_on_request() -> None:
    dose = native(RAMP, sop_class="1.2.840.10008.5.1.4.1.1.481.2", modality="RTDOSE")
    assert refusal(dose) is Reason.DERIVED_LABELS
    assert shown(dose, derived_objects=True).shape == (16, 16)


def test_deflated_frames() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    frame = packer.compress(RAMP.tobytes()) + packer.flush()
    data = dicom(image_module(16, 16), encapsulated(frame), "1.2.840.10008.1.2.8.1")
    assert np.array_equal(shown(data, percentiles=(0, 100)), np.rint(RAMP / 4080 * 255))


@pytest.mark.parametrize("syntax", [
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.7.1",
    "1.2.840.10008.1.2.4.94", "1.2.3.4",
])  # fmt: skip
def test_video_and_unknown_syntaxes_are_unsupported(syntax: str) -> None:
    data = dicom(image_module(16, 16, 8), encapsulated(b"\x00\x00\x01\xb3" + bytes(60)), syntax, SECONDARY)
    assert refusal(data) is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.pop(0x00280010), Reason.MALFORMED),
        (lambda m: m.update({0x00280010: us(0x00280010, 0)}), Reason.MALFORMED),
        (lambda m: m.update({0x00280002: us(0x00280002, 3)}), Reason.MALFORMED),
        (lambda m: m.update({0x00280100: us(0x00280100, 12)}), Reason.UNSUPPORTED),
        (lambda m: m.update({0x00280101: us(0x00280101, 17)}), Reason.MALFORMED),
        (lambda m: m.update({0x00280004: element(0x00280004, "CS", b"CIELAB")}), Reason.UNSUPPORTED),
        (lambda m: m.update({0x00280010: us(0x00280010, 40000)}), Reason.TOO_LARGE),
    ],
)
def test_impossible_headers(change: Callable[[dict[int, bytes]], Any], reason: Reason) -> None:
    module = image_module(16, 16)
    change(module)
    assert refusal(dicom(module, element(0x7FE00010, "OW", RAMP.tobytes()))) is reason


def test_colour_by_plane_equals_colour_by_pixel() -> None:
    colours = np.random.default_rng(2).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    by_pixel = native(colours, samples=3, photometric="RGB", sop_class=SECONDARY)
    module = image_module(8, 10, 8, samples=3, photometric="RGB") | {0x00280006: us(0x00280006, 1)}
    by_plane = dicom(module, element(0x7FE00010, "OB", colours.transpose(2, 0, 1).tobytes()))
    assert np.array_equal(shown(by_pixel), colours)
    assert np.array_equal(shown(by_plane), colours)


def test_non_square_pixels_overlays_and_profiles_are_noted() -> None:
    extra = {0x00280030: ds(0x00280030, 0.5, 0.7), 0x60000010: us(0x60000010, 16),
             0x00282000: element(0x00282000, "OB", b"profile.")}  # fmt: skip
    (only,) = slices(native(RAMP, extra=extra))
    assert {"non_square_pixels", "overlay_ignored", "icc_ignored"} <= set(only.applied)


def test_no_value_of_the_object_is_logged_warned_or_raised(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    canary = "DOE^JANE^19610402"
    extra = {
        0x00080018: element(0x00080018, "UI", canary.encode()),
        0x00100010: element(0x00100010, "PN", canary.encode()),
        CENTRE: element(CENTRE, "DS", canary.encode()),
        0x00280008: element(0x00280008, "IS", canary.encode()),
    }
    caplog.set_level(0)
    with pytest.raises(ScreeningError) as caught:
        slices(native(RAMP[:, :9], extra=extra)[:-30])
    said = str(caught.value) + repr(caught.value.__cause__) + caplog.text + "".join(capfd.readouterr())
    assert "DOE" not in said + " ".join(str(warning.message) for warning in recwarn)


def test_an_unreadable_attribute_counts_as_absent() -> None:
    garbled = {CENTRE: element(CENTRE, "DS", b"forty"), WIDTH: ds(WIDTH, 400), 0x00280030: ds(0x00280030, 1)}
    assert slices(native(RAMP, extra=garbled))[0].applied == ("percentile",)


def test_padding_after_the_pixels_is_no_truncation() -> None:
    assert np.array_equal(shown(native(RAMP) + bytes(100_000)), shown(native(RAMP)))


def test_one_decoder_a_syntax_whatever_is_installed() -> None:
    assert missing_codecs() == []
    for syntax in CODECS:
        assert codec(syntax)[0].available_plugins == (codec(syntax)[1],)


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.dicom_jpeg.importlib.util.find_spec", lambda name: None)
    codec.cache_clear()
    assert {line.rsplit(": ", 1)[1] for line in missing_codecs()} == {"imagecodecs"}
    with pytest.raises(ScreeningError, match=Reason.CODEC_MISSING):
        codec("1.2.840.10008.1.2.4.70")
    codec.cache_clear()


def test_writer_agrees_with_pydicom() -> None:
    assert encapsulate([JPEG], has_bot=False)[8:] in encapsulated(JPEG)
    assert EXPLICIT in native(RAMP).decode("latin-1")
