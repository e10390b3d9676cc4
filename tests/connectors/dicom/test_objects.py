"""DICOM objects as a whole: frames, truncation, classes, impossible headers, silence about values."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.encaps import encapsulate

from s2sw.connectors.dicom.codecs import CODECS, codec
from s2sw.connectors.dicom.packages import MODULES, missing_codecs
from s2sw.schemas.outcomes import Reason, ScreeningError, Status, status_of
from tests.support.showing import (
    CENTRE,
    HOUNSFIELD,
    RAMP,
    WIDTH,
    refusal,
    shown,
    slices,
)
from tests.support.writing import (
    CT,
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
    us,
)


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
    found = slices(jpeg_object(encapsulated(JPEG, JPEG), 3))
    assert ["fewer_frames" in s.applied for s in found] == [False, True]
    assert "fewer_frames" not in slices(jpeg_object(encapsulated(JPEG, JPEG), 2))[-1].applied
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
        (CT, Reason.NO_PIXEL_DATA),
        ("1.2.3.4.5", Reason.NOT_AN_IMAGE),
    ],
)
def test_objects_without_a_photograph(sop_class: str, reason: Reason) -> None:
    found = refusal(dicom({}, b"", sop_class=sop_class))
    assert found is reason
    assert status_of(found) is (Status.QUARANTINED if reason is Reason.NO_PIXEL_DATA else Status.NO_PIXELS)


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
    assert slices(native(RAMP, extra=garbled))[0].applied == ("window_ignored", "percentile")


def test_padding_after_the_pixels_is_no_truncation() -> None:
    assert np.array_equal(shown(native(RAMP) + bytes(100_000)), shown(native(RAMP)))


def test_one_decoder_a_syntax_whatever_is_installed() -> None:
    assert missing_codecs() == []
    for syntax in CODECS:
        assert codec(syntax)[0].available_plugins == (codec(syntax)[1],)


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2sw.connectors.dicom.packages.importlib.util.find_spec", lambda name: None)
    assert {line.rsplit(": ", 1)[1] for line in missing_codecs()} == MODULES.keys()
    assert MODULES.keys() == {package for package, _, _ in CODECS.values()} - {"pillow", "pydicom"}


def test_objects_of_missing_packages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2sw.connectors.dicom.jpeg_plugin.importlib.util.find_spec", lambda name: None)
    codec.cache_clear()
    with pytest.raises(ScreeningError, match=Reason.CODEC_MISSING):
        codec("1.2.840.10008.1.2.4.70")
    codec.cache_clear()


def test_writer_agrees_with_pydicom() -> None:
    assert encapsulate([JPEG], has_bot=False)[8:] in encapsulated(JPEG)
    assert EXPLICIT in native(RAMP).decode("latin-1")
