"""TIFF in the layouts that a writer can ask for, against what was written and what tifffile reads."""

from collections.abc import Iterator
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pytest
import tifffile

from s2sw.connectors.decode import decode
from s2sw.connectors.images.tiff import decode_tiff
from s2sw.schemas.decoding import DecodeSettings
from tests.support.tiff_files import page, tiff

SETTINGS = DecodeSettings(percentiles=(0, 100))
ROWS, COLS = 19, 35  # tiles and strips of 16 leave rests both ways
RAMP = np.linspace(0, 1, ROWS * COLS).reshape(ROWS, COLS)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)
INKS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1], RAMP * 0.5], -1)
KINDS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
PLACES = ({"tile": (16, 16)}, {"rowsperstrip": 1}, {"rowsperstrip": 16})
LAYOUTS = tuple(product("<>", (False, True), PLACES))
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")
Array = np.ndarray[Any, Any]


def typed(values: Array, kind: str) -> Array:
    """Return values of 0..1 over the whole range of a type; of floats as they are."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    spread = values * (float(info.max) - float(info.min)) + float(info.min)
    return np.clip(np.rint(spread), float(info.min), np.nextafter(float(info.max) + 1, 0)).astype(dtype)


def written(pixels: Array, byteorder: Any, bigtiff: bool, **options: Any) -> bytes:
    out = BytesIO()
    with tifffile.TiffWriter(out, byteorder=byteorder, bigtiff=bigtiff) as writer:
        writer.write(pixels, metadata=None, **options)
    return out.getvalue()


def layouts(kind: str, share: int) -> Iterator[dict[str, Any]]:
    """Yield one in ``share`` combinations of compression, predictor, byte order, BigTIFF and strips."""
    combinations = product(COMPRESSIONS, (False, True), LAYOUTS)
    for number, (compression, predictor, (order, big, layout)) in enumerate(combinations):
        if number % share == KINDS.index(kind) % share:
            options = {"byteorder": order, "bigtiff": big, "compression": compression, **layout}
            possible = compression not in (None, "packbits") and kind not in ("u8", "i8")
            yield options | ({"predictor": True} if predictor and possible else {})


def shown(data: bytes) -> Array:
    (only,) = decode(data, SETTINGS)[1]
    return only.pixels


def as_bytes(values: Array) -> Array:
    return np.rint(values * 255).astype(np.uint8)


def off_by(data: bytes, right: Array) -> int:
    pixels = shown(data)
    assert pixels.shape == right.shape
    return int(np.abs(pixels.astype(int) - right.astype(int)).max())


def in_planes(samples: Array, planar: str) -> Array:
    return np.ascontiguousarray(samples.transpose(2, 0, 1)) if planar == "separate" else samples


@pytest.mark.parametrize("kind", KINDS)
def test_grey_of_every_type(kind: str) -> None:
    samples = typed(RAMP, kind)
    for options, photometric in product(layouts(kind, 5), ("minisblack", "miniswhite")):
        data = written(samples, photometric=photometric, **options)
        assert np.array_equal(tifffile.imread(BytesIO(data)), samples)
        right = as_bytes(1 - RAMP if photometric == "miniswhite" else RAMP)
        assert off_by(data, right) <= 1, (photometric, options)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "f4", "f8"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_of_every_type_and_both_layouts_of_planes(kind: str, planar: str) -> None:
    stored = in_planes(typed(COLOURS, kind), planar)
    for options in layouts(kind, 5):
        data = written(stored, photometric="rgb", planarconfig=planar, **options)
        assert np.array_equal(tifffile.imread(BytesIO(data)), stored)
        assert off_by(data, as_bytes(COLOURS)) <= 1, options


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_inks(kind: str, planar: str) -> None:
    stored = in_planes(typed(INKS, kind), planar)
    right = as_bytes((1 - INKS[..., :3]) * (1 - INKS[..., 3:]))
    for options in layouts(kind, 5):
        data = written(stored, photometric="separated", planarconfig=planar, **options)
        assert off_by(data, right) <= 2, options


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("alpha", ["assocalpha", "unassalpha"])
def test_opacity_is_laid_over_white(kind: str, colour: bool, alpha: str) -> None:
    opacity = np.broadcast_to(np.linspace(0.2, 1, COLS), (ROWS, COLS))[..., None]
    values = COLOURS if colour else RAMP[..., None]
    held = values * opacity if alpha == "assocalpha" else values
    samples = typed(np.concatenate([held, opacity], -1), kind)
    right = as_bytes(values * opacity + 1 - opacity)
    for options in layouts(kind, 7):
        data = written(samples, photometric="rgb" if colour else "minisblack", planarconfig="contig",
                       extrasamples=[alpha], **options)  # fmt: skip
        assert off_by(data, right if colour else right[..., 0]) <= 3, options


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 10, 12, 14, 20, 31])
@pytest.mark.parametrize("order", "<>")
def test_packed_greys(bits: int, order: str) -> None:
    levels = np.rint(RAMP * ((1 << bits) - 1)).astype(np.uint64)
    digits = (levels[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    rows = [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in digits]
    for strips, rows_each in (([b"".join(rows)], ROWS), (rows, 1)):
        stored = page(np.zeros((ROWS, COLS), np.uint8), strips, bits=bits, rows_per_strip=rows_each)
        assert off_by(tiff(stored, order=order), as_bytes(levels / ((1 << bits) - 1))) <= 1
        assert np.array_equal(tifffile.imread(BytesIO(tiff(stored, order=order))), levels)


def test_bilevel() -> None:
    bits = np.add.outer(np.arange(ROWS), np.arange(COLS)) % 3 == 0
    for (order, big, layout), photometric, compression in product(
        LAYOUTS, ("minisblack", "miniswhite"), (None, "lzw", "zlib", "packbits")
    ):
        data = written(bits, order, big, photometric=photometric, compression=compression, **layout)
        right = (bits if photometric == "minisblack" else ~bits) * np.uint8(255)
        assert off_by(data, right) == 0, (compression, photometric, layout)


@pytest.mark.parametrize("scale", [1, 257])
def test_palettes_of_eight_bits_and_of_sixteen(scale: int) -> None:
    table = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16)
    indices = as_bytes(RAMP)
    for (order, big, layout), compression in product(LAYOUTS, (None, "lzw")):
        data = written(indices, order, big, photometric="palette", colormap=table * scale,
                       compression=compression, **layout)  # fmt: skip
        assert off_by(data, table.T.astype(np.uint8)[indices]) == 0, (scale, layout)


EMBEDDED = {
    "jpeg2000": ({"level": 0, "reversible": True}, ("u1", "u2")), "png": ({}, ("u1", "u2")),
    "webp": ({"lossless": True}, ("u1",)), "lerc": ({}, ("u1", "u2", "f4")),
    "jpegxl": ({"lossless": True}, ("u1", "u2")), "jpeg": ({"level": 98}, ("u1",)),
}  # fmt: skip


@pytest.mark.parametrize("compression", EMBEDDED)
def test_pictures_in_strips_and_tiles(compression: str) -> None:
    arguments, kinds = EMBEDDED[compression]
    for kind, colour, (order, big, layout) in product(kinds, (False, True), LAYOUTS):
        if (compression == "webp" and not colour) or (order == ">" and kind != "u1"):
            continue  # formats without a grey, and samples that the writer turns round
        if "tile" not in layout:
            layout = {"rowsperstrip": ROWS}
        samples = typed(COLOURS if colour else RAMP, kind)
        extra = {"subsampling": (1, 1)} if compression == "jpeg" and colour else {}
        data = written(samples, order, big, photometric="rgb" if colour else "minisblack",
                       compression=compression, compressionargs=arguments, **extra, **layout)  # fmt: skip
        worst = 12 if compression == "jpeg" else 1
        # tiles are filled up with black, which rings in the pixels of a JPEG beside it
        inside = (
            (slice(0, 16), slice(0, 32)) if compression == "jpeg" and "tile" in layout else (slice(None),) * 2
        )
        right = as_bytes(COLOURS if colour else RAMP)[inside]
        difference = np.abs(shown(data)[inside].astype(int) - right)
        assert difference.max() <= worst, (kind, colour, layout)


def test_both_readers_agree_on_what_pillow_is_trusted_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for options, photometric in product(layouts("u1", 2), ("minisblack", "miniswhite", "rgb")):
        samples = typed(COLOURS if photometric == "rgb" else RAMP, "u1")
        data = written(samples, photometric=photometric, **options)
        trusted = [one.pixels for one in decode_tiff(data, SETTINGS)]
        with monkeypatch.context() as patch:
            patch.setattr("s2sw.connectors.images.tiff._is_trusted", lambda directory: False)
            checked = [one.pixels for one in decode_tiff(data, SETTINGS)]
        assert np.array_equal(trusted, checked), (photometric, options)
