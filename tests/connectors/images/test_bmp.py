"""BMP: run lengths that overhang, stop and jump, masks of any place, opacity, and what is not read."""

import struct
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.bitmaps import PALETTE, bmp, bmp_masks, bmp_rle8, palette_bytes

ROWS, COLS = 8, 13
INDICES = (np.arange(ROWS)[:, None] * 20 + np.arange(COLS) * 3).astype(np.uint8)
Y, X = np.mgrid[0:16, 0:24]
RGB = np.stack([X * 10, Y * 16, (X + Y) * 6], -1).astype(np.uint8)


def shown(data: bytes) -> np.ndarray[Any, Any]:
    (only,) = decode(data, DecodeSettings())[1]
    return only.pixels


def refusal(data: bytes) -> ScreeningError:
    with pytest.raises(ScreeningError) as caught:
        shown(data)
    return caught.value


def rle8(body: bytes) -> np.ndarray[Any, Any]:
    return shown(bmp(8, 1, (ROWS, COLS), body, palette_bytes()))


def test_run_lengths_and_literals() -> None:
    data = bmp_rle8(INDICES)
    assert np.array_equal(shown(data), PALETTE[INDICES])
    assert np.array_equal(
        shown(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    )


def test_a_run_ends_with_its_row() -> None:
    for surplus in (1, 4):
        runs = b"".join(bytes((COLS + surplus, int(row[0]))) + b"\0\0" for row in INDICES[::-1])
        right = PALETTE[np.broadcast_to(INDICES[:, :1], INDICES.shape)]
        assert np.array_equal(rle8(runs + b"\0\1"), right)
        stored = COLS + surplus
        literals = b"".join(
            bytes((0, stored)) + bytes([*row, *[9] * surplus]) + b"\0" * (stored % 2) + b"\0\0"
            for row in INDICES[::-1].tolist()
        )
        assert np.array_equal(rle8(literals + b"\0\1"), PALETTE[INDICES])


def test_blank_rows_moves_and_early_ends_leave_index_0() -> None:
    right = np.zeros((ROWS, COLS), np.uint8)
    right[1::2] = 7
    body = b"".join((bytes((COLS, 7)) if row[0] else b"") + b"\0\0" for row in right[::-1].tolist())
    assert np.array_equal(rle8(body + b"\0\1"), PALETTE[right])
    right[:] = 0
    right[4, 3:5] = 9
    assert np.array_equal(rle8(b"\0\2\3\3" + b"\2\t" + b"\0\1"), PALETTE[right])


def test_four_bits() -> None:
    runs = b"".join(bytes((COLS, (row % 16) << 4 | 5)) + b"\0\0" for row in range(ROWS))
    right = np.full((ROWS, COLS), 5, np.uint8)
    right[:, ::2] = (np.arange(ROWS)[::-1] % 16)[:, None]
    assert np.array_equal(shown(bmp(4, 2, (ROWS, COLS), runs + b"\0\1", palette_bytes(16))), PALETTE[right])
    literal = b"\0\x05\x12\x34\x50\0" + b"\0\1"
    right[:] = 0
    right[-1, :5] = (1, 2, 3, 4, 5)
    assert np.array_equal(shown(bmp(4, 2, (ROWS, COLS), literal, palette_bytes(16))), PALETTE[right])


@pytest.mark.parametrize("masks", [
    (0xFF, 0xFF00, 0xFF0000), (0xFF0000, 0xFF00, 0xFF), (0x3FF, 0xFFC00, 0x3FF00000), (0xF, 0xF0, 0xF00),
    (0xFF000000, 0xFF0000, 0xFF00),
])  # fmt: skip
def test_masks_of_any_place(masks: tuple[int, int, int]) -> None:
    highest = [mask >> ((mask & -mask).bit_length() - 1) for mask in masks]
    levels = np.rint(RGB * (np.array(highest) / 255))
    assert np.array_equal(shown(bmp_masks(RGB, masks)), np.rint(levels * (255 / np.array(highest))))


@pytest.mark.parametrize("masks", [(0x7C00, 0x3E0, 0x1F), (0xF800, 0x7E0, 0x1F), (0xF00, 0xF0, 0xF)])
@pytest.mark.parametrize("downward", [False, True])
def test_sixteen_bits(masks: tuple[int, int, int], downward: bool) -> None:
    words, right = np.zeros(RGB.shape[:2], np.uint32), np.zeros(RGB.shape)
    for channel, mask in enumerate(masks):
        shift = (mask & -mask).bit_length() - 1
        level = np.rint(RGB[..., channel] * ((mask >> shift) / 255)).astype(np.uint32)
        words |= level << np.uint32(shift)
        right[..., channel] = np.rint(level * (255 / (mask >> shift)))
    rows = words if downward else words[::-1]
    data = bmp(16, 3, (-16 if downward else 16, 24), rows.astype("<u2").tobytes(), struct.pack("<3I", *masks))
    assert np.array_equal(shown(data), right)


def version5(alpha: np.ndarray[Any, Any]) -> bytes:
    """A BMP with a 124-byte header and a mask of opacity."""
    words = RGB[::-1].astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    words |= alpha[::-1].astype(np.uint32) << 24
    head = struct.pack("<2sIHHI", b"BM", 138 + 4 * words.size, 0, 0, 138)
    info = struct.pack("<IiiHHIIiiII", 124, 24, 16, 1, 32, 3, 4 * words.size, 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return head + info + masks + b"BGRs" + bytes(64) + words.astype("<u4").tobytes()


def test_opacity_is_laid_over_white_where_it_is_used() -> None:
    alpha = (X * 10).astype(np.uint8)
    right = RGB * (alpha[..., None] / 255) + 255 - alpha[..., None]
    assert np.abs(shown(version5(alpha)) - right).max() <= 1
    assert np.array_equal(shown(version5(np.zeros_like(alpha))), RGB), "a mask that no writer used"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_plain_bitmaps_are_those_of_opencv(mode: str) -> None:
    out = BytesIO()
    Image.fromarray(RGB).convert(mode).save(out, "BMP")
    theirs = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    pixels = shown(out.getvalue())
    assert np.array_equal(pixels if pixels.ndim == 3 else np.dstack([pixels] * 3), theirs)


def test_pixels_whose_place_is_not_told_lie_behind_the_colour_table() -> None:
    out = BytesIO()
    Image.fromarray(RGB).convert("P").save(out, "BMP")
    for data in (out.getvalue(), bmp_rle8(INDICES), bmp_masks(RGB)):
        assert np.array_equal(shown(data[:10] + bytes(4) + data[14:]), shown(data))


@pytest.mark.parametrize(("compression", "word"), [(4, "JPEG"), (5, "PNG"), (9, "method 9")])
def test_what_is_not_read_is_named(compression: int, word: str) -> None:
    error = refusal(bmp(24, compression, (ROWS, COLS), bytes(400)))
    assert (error.reason, word in error.detail) == (Reason.UNSUPPORTED, True)


@pytest.mark.parametrize(("data", "reason"), [
    (bmp_rle8(INDICES)[:-40], Reason.TRUNCATED),
    (bmp_masks(RGB)[:-40], Reason.TRUNCATED),
    (bmp_masks(RGB)[:40], Reason.TRUNCATED),
    (bmp(8, 1, (20_000, 20_000), b"\0\1", palette_bytes()), Reason.BOMB),
    (bmp(8, 1, (0, 20), b"\0\1", palette_bytes()), Reason.MALFORMED),
    (bmp(8, 1, (20, 40_000), b"\0\1", palette_bytes()), Reason.TOO_LARGE),
])  # fmt: skip
def test_broken_bitmaps_have_reasons(data: bytes, reason: Reason) -> None:
    assert refusal(data).reason is reason
