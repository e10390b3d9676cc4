"""JPEG 2000: depths, colour spaces, channels, palettes and subsampling, beside OpenJPEG's own program."""

import shutil
import struct
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.jp2_files import CIELAB, CMYK, GREY, SRGB, SYCC, box, cdef, codestream, colr, jp2, palette

Y, X = np.mgrid[0:48, 0:64]
RGB = np.stack([X * 4, Y * 5, (X + Y) * 2], -1).astype(np.uint8)
ALPHA = (255 - X * 3).astype(np.uint8)
needs_programs = pytest.mark.skipif(
    not (shutil.which("opj_compress") and shutil.which("opj_decompress")), reason="no OpenJPEG programs here"
)


def only(data: bytes) -> Slice:
    (one,) = decode(data, DecodeSettings(percentiles=(0, 100)))[1]
    return one


def refusal(data: bytes) -> ScreeningError:
    with pytest.raises(ScreeningError) as caught:
        only(data)
    return caught.value


def over_white(pixels: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    opacity = alpha.astype(float)[..., None] / 255
    return np.rint(pixels * opacity + 255 * (1 - opacity)).astype(int)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("boxed", [False, True])
def test_deep_colours_keep_their_high_byte(bits: int, boxed: bool) -> None:
    deep = (RGB.astype(np.uint16) << (bits - 8)) | ((1 << bits - 8) - 1)
    deep[:8] = (1 << bits) - 1
    stream = codestream(deep, bits)
    pixels = only(jp2(stream, [colr(SRGB)], bits=bits) if boxed else stream).pixels
    assert np.array_equal(pixels, (deep >> (bits - 8)).astype(np.uint8))


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
@pytest.mark.parametrize("colour", [False, True])
def test_shallow_samples_spread_over_the_whole_range(bits: int, colour: bool) -> None:
    levels = (RGB >> (8 - bits)) if colour else (RGB[..., 0] >> (8 - bits))
    pixels = only(codestream(levels, bits)).pixels
    assert np.array_equal(pixels, np.rint(levels * (255 / ((1 << bits) - 1))).astype(np.uint8))


def test_deep_and_signed_greys() -> None:
    deep = (X * 60 + Y).astype(np.uint16)
    one = only(codestream(deep, 12))
    assert np.array_equal(one.pixels, np.rint(deep / deep.max() * 255))
    assert one.applied == ("percentile",)
    signed = (X * 60 - 1900).astype(np.int16)
    assert np.array_equal(only(codestream(signed)).pixels, np.rint((signed + 1900) / 3780 * 255))
    small = (X * 4 - 128).astype(np.int8)
    assert np.array_equal(only(codestream(small)).pixels, X * 4)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("premultiplied", [False, True])
def test_opacity_is_laid_over_white(bits: int, premultiplied: bool) -> None:
    held = RGB * (ALPHA[..., None] / 255) if premultiplied else RGB
    samples = np.dstack([np.rint(held), ALPHA]).astype(np.uint16) << (bits - 8)
    stream = codestream(samples.astype(np.uint8 if bits == 8 else np.uint16), bits)
    channels = cdef((0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 2 if premultiplied else 1, 0))
    one = only(jp2(stream, [colr(SRGB), channels], 4, bits))
    assert np.abs(one.pixels.astype(int) - over_white(RGB, ALPHA)).max() <= 1
    assert one.applied == ("alpha",)


def test_channels_come_in_the_order_of_their_definitions() -> None:
    swapped = codestream(np.ascontiguousarray(RGB[..., ::-1]))
    assert np.array_equal(only(jp2(swapped, [colr(SRGB), cdef((0, 0, 3), (1, 0, 2), (2, 0, 1))])).pixels, RGB)
    first = codestream(np.dstack([ALPHA, RGB]))
    defined = [colr(SRGB), cdef((0, 1, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3))]
    assert np.abs(only(jp2(first, defined, 4)).pixels.astype(int) - over_white(RGB, ALPHA)).max() <= 1


def test_palettes_of_equal_entries() -> None:
    entries = np.random.default_rng(4).integers(0, 256, (40, 3))
    entries[7] = entries[3] = (5, 5, 5)
    indices = (X % 40).astype(np.uint8)
    one = only(jp2(codestream(indices), [palette(entries), colr(SRGB)], 1))
    assert np.array_equal(one.pixels, entries.astype(np.uint8)[indices])
    assert one.applied == ("palette",)
    grey = only(jp2(codestream(indices), [palette(entries[:, :1]), colr(GREY)], 1))
    assert np.array_equal(grey.pixels, entries[:, 0].astype(np.uint8)[indices])


def test_colour_spaces() -> None:
    ycc = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    right = np.asarray(Image.fromarray(ycc, "YCbCr").convert("RGB"))
    assert np.array_equal(only(jp2(codestream(ycc), [colr(SYCC)])).pixels, right)
    inks = np.dstack([RGB, ALPHA])
    right = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
    assert np.array_equal(only(jp2(codestream(inks), [colr(CMYK)], 4)).pixels, right)
    error = refusal(jp2(codestream(RGB), [colr(CIELAB)]))
    assert (error.reason, "CIELab" in error.detail) == (Reason.UNSUPPORTED, True)


def test_profiles_are_noted_and_empty_ones_are_not() -> None:
    profile = box(b"colr", bytes([2, 0, 0]) + bytes(200))
    empty = box(b"colr", bytes([2, 0, 0, 0]))
    for content, applied in ((profile, ("icc_ignored",)), (empty, ())):
        one = only(jp2(codestream(RGB), [content]))
        assert np.array_equal(one.pixels, RGB)
        assert one.applied == applied


def test_components_of_mixed_depths_are_named() -> None:
    stream = bytearray(codestream(RGB))
    stream[stream.find(b"\xff\x51") + 40 + 3] = 15  # the second component claims 16 bits
    assert refusal(bytes(stream)).reason is Reason.UNSUPPORTED
    stream = bytearray(codestream(RGB))
    stream[stream.find(b"\xff\x51") + 40 + 4] = 3  # or lies three columns apart
    assert refusal(bytes(stream)).reason is Reason.UNSUPPORTED


def test_a_picture_far_from_its_corner_is_a_bomb() -> None:
    stream = bytearray(codestream(RGB))
    at = stream.find(b"\xff\x51") + 6
    struct.pack_into(">8I", stream, at, 60_064, 60_048, 60_000, 60_000, 64, 48, 60_000, 60_000)
    assert refusal(bytes(stream)).reason is Reason.BOMB


@pytest.mark.parametrize(
    "data", [b"\xff\x4f\xff\x51", codestream(RGB)[:60], jp2(codestream(RGB), [colr(SRGB)])[:90]]
)
def test_headers_without_a_picture(data: bytes) -> None:
    assert refusal(data).reason in (Reason.MALFORMED, Reason.TRUNCATED)


def compressed(folder: Path, planes: list[np.ndarray[Any, Any]], form: str, *options: str) -> bytes:
    raw = folder / "in.raw"
    raw.write_bytes(b"".join(plane.tobytes() for plane in planes))
    out = folder / "out.jp2"
    command = ["opj_compress", "-i", str(raw), "-F", form, "-o", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return out.read_bytes()


def decompressed(folder: Path, data: bytes) -> np.ndarray[Any, Any]:
    (folder / "in.jp2").write_bytes(data)
    command = ["opj_decompress", "-i", str(folder / "in.jp2"), "-o", str(folder / "out.ppm")]
    subprocess.run(command, check=True, capture_output=True)
    return np.asarray(Image.open(BytesIO((folder / "out.ppm").read_bytes())))


@needs_programs
@pytest.mark.parametrize("covers", ["1x1:2x2:2x2", "1x1:2x1:2x1"])
@pytest.mark.parametrize("size", [(32, 32), (33, 33), (34, 47), (47, 34)])
@pytest.mark.parametrize("tile", [(), ("-t", "15,15"), ("-t", "16,20")])
def test_subsampled_chroma_is_that_of_openjpeg(
    covers: str, size: tuple[int, int], tile: tuple[str, ...], tmp_path: Path
) -> None:
    rows, cols = size
    dice = np.random.default_rng(rows)
    smooth = [np.add.outer(np.arange(rows) * 3 % 90, np.arange(cols) * 2).astype(np.uint8) + 40]
    smooth += [dice.integers(90, 160, (rows, cols), dtype=np.uint8) for _ in range(2)]
    data = compressed(tmp_path, smooth, f"{cols},{rows},3,8,u@{covers}", "-n", "2", *tile)
    data = data.replace(
        b"colr\x01\x00\x00" + struct.pack(">I", SRGB), b"colr\x01\x00\x00" + struct.pack(">I", SYCC)
    )
    theirs = decompressed(tmp_path, data)
    assert np.abs(only(data).pixels.astype(int) - theirs).max() <= 1


@needs_programs
@pytest.mark.parametrize("options", [("-d", "5,3"), ("-TP", "R"), ("-I",), ("-c", "[64,64]"), ("-p", "RPCL")])
def test_codestreams_are_those_of_openjpeg(options: tuple[str, ...], tmp_path: Path) -> None:
    planes = [np.ascontiguousarray(RGB[..., at]) for at in range(3)]
    data = compressed(tmp_path, planes, "64,48,3,8,u", "-n", "3", *options)
    assert np.array_equal(only(data).pixels, decompressed(tmp_path, data))


@needs_programs
def test_tile_parts_that_are_counted_one_short(tmp_path: Path) -> None:
    planes = [np.ascontiguousarray(RGB[..., at]) for at in range(3)]
    data = bytearray(compressed(tmp_path, planes, "64,48,3,8,u", "-n", "3", "-TP", "R"))
    at = data.find(b"\xff\x90")
    while data[at : at + 2] == b"\xff\x90":
        length, _, parts = struct.unpack_from(">IBB", data, at + 6)
        data[at + 11] = max(0, parts - 1)
        at += length
    assert np.array_equal(only(bytes(data)).pixels, RGB)


@needs_programs
def test_subsampled_grey(tmp_path: Path) -> None:
    data = compressed(tmp_path, [RGB[::2, ::2, 0].copy()], "64,48,1,8,u@2x2", "-n", "1")
    assert np.array_equal(only(data).pixels, RGB[::2, ::2, 0].repeat(2, 0).repeat(2, 1))
