"""Netpbm's formats: bits, greys, colours and floats, as text and as bytes, beside OpenCV."""

from typing import Any

import cv2
import numpy as np
import pytest

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.netpbm import pam, pbm, pbm_text, pfm, pgm, pgm_text, ppm

Y, X = np.mgrid[0:15, 0:22]
GREY = (X * 11 + Y).astype(np.uint8)
DEEP = (X * 2900 + Y).astype(np.uint16)
RGB = np.stack([X * 11, Y * 16, (X + Y) * 6], -1).astype(np.uint8)


def slices(data: bytes, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**{"percentiles": (0, 100)} | settings))[1])


def shown(data: bytes) -> np.ndarray[Any, Any]:
    (only,) = slices(data)
    return only.pixels


def refusal(data: bytes, **settings: Any) -> Reason:
    with pytest.raises(ScreeningError) as caught:
        slices(data, **settings)
    return caught.value.reason


def stretched(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.rint((values - values.min()) / float(values.max() - values.min()) * 255)


def opencv(data: bytes) -> np.ndarray[Any, Any]:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found[..., ::-1] if found.ndim == 3 else found


def test_eight_bits_are_those_of_opencv() -> None:
    for data, right in (
        (pgm(GREY), GREY),
        (pgm_text(GREY), GREY),
        (ppm(RGB), RGB),
        (pgm(GREY, comment=b"# 9 9\n"), GREY),
    ):
        assert np.array_equal(shown(data), right)
        assert np.array_equal(opencv(data), right)


@pytest.mark.parametrize("write", [pgm, pgm_text])
def test_deep_greys_are_stretched(write: Any) -> None:
    assert np.array_equal(shown(write(DEEP)), stretched(DEEP.astype(float)))
    assert np.array_equal(opencv(write(DEEP)), DEEP)


@pytest.mark.parametrize("highest", [1, 3, 100, 1023, 4095, 65535])
def test_levels_count_by_their_highest(highest: int) -> None:
    kind = np.uint8 if highest < 256 else np.uint16
    colours = np.rint(RGB * (highest / 255)).astype(kind)
    assert np.array_equal(shown(ppm(colours, highest)), np.rint(colours * (255 / highest)))
    grey = colours[..., 0]
    if highest < 256:
        assert np.array_equal(shown(pgm(grey, highest)), np.rint(grey * (255 / highest)))


@pytest.mark.parametrize("write", [pbm, pbm_text])
def test_in_bit_maps_one_is_black(write: Any) -> None:
    bits = (X + Y) % 3 == 0
    assert np.array_equal(shown(write(bits)), np.where(bits, 0, 255))
    assert np.array_equal(opencv(write(bits)) > 0, ~bits)


def test_arbitrary_maps() -> None:
    alpha = (X * 11).astype(np.uint8)
    opacity = alpha / 255
    both = shown(pam(np.dstack([GREY, alpha])))
    assert np.abs(both - (GREY * opacity + 255 * (1 - opacity))).max() <= 1
    colours = shown(pam(np.dstack([RGB, alpha]), b"RGB_ALPHA"))
    assert np.abs(colours - (RGB * opacity[..., None] + 255 * (1 - opacity[..., None]))).max() <= 1
    assert np.array_equal(shown(pam(RGB, b"RGB")), RGB)
    bits = ((X + Y) % 3 == 0).astype(np.uint8)
    assert np.array_equal(shown(pam(bits[..., None], b"BLACKANDWHITE", 1)), bits * 255), "here one is white"
    assert refusal(pam(np.dstack([GREY] * 5), b"ANY")) is Reason.UNSUPPORTED


@pytest.mark.parametrize("order", "<>")
def test_floats_come_from_the_bottom_up(order: str) -> None:
    values = (DEEP / 7000.0).astype(np.float32)
    assert np.array_equal(shown(pfm(values, order)), stretched(values.astype(float)))
    assert np.array_equal(opencv(pfm(values, order)), values)
    assert shown(pfm(np.dstack([values] * 3), order)).shape == (15, 22, 3)


def test_pictures_one_behind_the_other_are_pages() -> None:
    found = slices(pgm(GREY) + pgm(GREY[::-1].copy()) + ppm(RGB))
    assert [one.plane for one in found] == ["page"] * 3
    assert np.array_equal(found[1].pixels, GREY[::-1])
    assert refusal(pgm(GREY) * 4, limits=Limits(frames=3)) is Reason.TOO_LARGE


@pytest.mark.parametrize(("data", "reason"), [
    (pgm(GREY)[:-1], Reason.TRUNCATED), (pgm_text(GREY)[:-60], Reason.TRUNCATED),
    (pbm(X > 3)[:-1], Reason.TRUNCATED), (pam(RGB, b"RGB")[:-2], Reason.TRUNCATED),
    (pfm(DEEP.astype(np.float32))[:-3], Reason.TRUNCATED), (b"P5\n0 4\n255\n" + bytes(9), Reason.MALFORMED),
    (b"P5\n30000 40000\n255\n" + bytes(100), Reason.TOO_LARGE),
    (b"P5\n4 4\n0\n" + bytes(16), Reason.MALFORMED), (b"P5\n4 4\n99999\n" + bytes(32), Reason.MALFORMED),
    (b"P2\n2 2\n255\n1 2 x 4\n", Reason.MALFORMED), (b"P2\n2 2\n255\n1 2 -3 4\n", Reason.MALFORMED),
    (b"P7\nWIDTH 4\nHEIGHT 4\nDEPTH 1\nMAXVAL 255\n" + bytes(40), Reason.MALFORMED),
])  # fmt: skip
def test_broken_files_have_reasons(data: bytes, reason: Reason) -> None:
    assert refusal(data) is reason
