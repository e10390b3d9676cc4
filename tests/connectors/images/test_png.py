"""PNG in every colour type and depth, with and without transparency, beside libpng in other hands."""

import struct
import zlib
from io import BytesIO
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings

ROWS, COLS = 20, 32
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
DEPTHS = [(GREY, depth) for depth in (1, 2, 4, 8, 16)] + [(PALETTE, depth) for depth in (1, 2, 4, 8)]
DEPTHS += [(kind, depth) for kind in (RGB, GREY_ALPHA, RGB_ALPHA) for depth in (8, 16)]
DICE = np.random.default_rng(9)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples: np.ndarray[Any, Any], depth: int, kind: int, *chunks: bytes) -> bytes:
    """A PNG of samples (rows, cols, channels) as they are."""
    rows, cols, _ = samples.shape
    lines = samples.reshape(rows, -1)
    if depth < 8:
        bits = (lines[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        stored = [np.packbits(line.reshape(-1).astype(np.uint8)).tobytes() for line in bits]
    else:
        stored = [line.astype(">u2" if depth == 16 else np.uint8).tobytes() for line in lines]
    head = struct.pack(">IIBBBBB", cols, rows, depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in stored))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(chunks)
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


def samples_of(kind: int, depth: int) -> np.ndarray[Any, Any]:
    return DICE.integers(0, 1 << depth, (ROWS, COLS, CHANNELS[kind]))


def one(data: bytes) -> Slice:
    (found,) = decode(data, DecodeSettings(percentiles=(0, 100)))[1]
    return found


def over_white(pixels: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    opacity = (alpha if pixels.ndim == 2 else alpha[..., None]) / alpha.max()
    return np.rint(pixels * opacity + 255 * (1 - opacity))


@pytest.mark.parametrize(("kind", "depth"), DEPTHS)
def test_every_colour_type_and_depth(kind: int, depth: int) -> None:
    samples = samples_of(kind, depth)
    table = DICE.integers(0, 256, (1 << min(depth, 8), 3)).astype(np.uint8)
    chunks = [chunk(b"PLTE", table.tobytes())] if kind == PALETTE else []
    data = png(samples, depth, kind, *chunks)
    top = (1 << depth) - 1
    if kind == PALETTE:
        right = table[samples[..., 0]]
    elif kind == GREY:
        values = samples[..., 0].astype(float)
        low, high = (values.min(), values.max()) if depth == 16 else (0, top)
        right = np.rint((values - low) / (high - low) * 255)
    else:
        colours = samples if kind == RGB else samples[..., :-1]
        eight = colours >> (depth - 8)
        if kind == GREY_ALPHA:
            visible = colours[..., 0][samples[..., -1] >= 1 << (depth - 8)]
            low, high = (visible.min(), visible.max()) if depth == 16 else (0, 255)
            eight = np.clip(np.rint((colours[..., 0] - low) / (high - low) * 255), 0, 255)
        right = (
            eight if kind == RGB else over_white(eight, np.where(True, samples[..., -1] >> (depth - 8), 0))
        )
    assert np.abs(one(data).pixels.astype(int) - right).max() <= 1
    if kind in (GREY, RGB):
        theirs = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        theirs = theirs[..., ::-1] if theirs.ndim == 3 else theirs
        scale = 1 if depth == 16 else 255 / top
        assert np.array_equal(theirs, np.rint((samples if kind == RGB else samples[..., 0]) * scale))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kind", [GREY, RGB])
def test_one_transparent_colour_becomes_white(kind: int, depth: int) -> None:
    if kind == RGB and depth < 8:
        pytest.skip("colours have 8 or 16 bits")
    samples = samples_of(kind, depth)
    hidden = samples[3, 4]
    samples[10:, :5] = hidden
    data = png(samples, depth, kind, chunk(b"tRNS", struct.pack(f">{len(hidden)}H", *hidden)))
    found = one(data)
    away = (samples == hidden).all(-1)
    assert (found.pixels[away] == 255).all()
    assert found.applied[-1] == "alpha"
    plain = one(png(samples, depth, kind))
    if depth < 16:
        assert np.array_equal(found.pixels[~away], plain.pixels[~away])
    else:
        assert np.abs(found.pixels[~away].astype(int) - plain.pixels[~away]).max() <= 1
    libpng = imagecodecs.png_decode(data)
    assert np.array_equal(libpng[..., -1] == 0, away)


def test_transparent_entries_of_a_palette() -> None:
    table = DICE.integers(0, 256, (16, 3)).astype(np.uint8)
    indices = samples_of(PALETTE, 4)
    opacity = np.linspace(0, 255, 16).astype(np.uint8)
    data = png(indices, 4, PALETTE, chunk(b"PLTE", table.tobytes()), chunk(b"tRNS", opacity.tobytes()))
    right = over_white(table[indices[..., 0]], opacity[indices[..., 0]])
    assert np.abs(one(data).pixels.astype(int) - right).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_interlaced_files(mode: str) -> None:
    out = BytesIO()
    pixels = DICE.integers(0, 256, (ROWS, COLS, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(out, "PNG", interlace=1)
    right = np.asarray(Image.fromarray(pixels).convert(mode).convert("L" if mode == "L" else "RGB"))
    assert np.array_equal(one(out.getvalue()).pixels, right)


def test_frames_of_an_animation_are_slices() -> None:
    frames = [Image.fromarray(np.full((8, 9), 50 * frame, np.uint8)) for frame in range(3)]
    out = BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    found = list(decode(out.getvalue(), DecodeSettings())[1])
    assert [(one.plane, int(one.pixels[0, 0])) for one in found] == [
        ("page", 50 * frame) for frame in range(3)
    ]
    assert np.array_equal(np.stack([one.pixels for one in found]), imagecodecs.apng_decode(out.getvalue()))
