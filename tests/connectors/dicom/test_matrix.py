"""DICOM in every depth, sign and encoding beside SimpleITK (GDCM), and its grey pipeline beside dcmtk."""

import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import SimpleITK
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.pixels import compress  # type: ignore[attr-defined]
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from tests.support.showing import CENTRE, INTERCEPT, SLOPE, WIDTH, shown, window
from tests.support.writing import (
    SECONDARY,
    dicom,
    ds,
    element,
    encapsulated,
    image_module,
    native,
    sequence,
    us,
)

Array = np.ndarray[Any, Any]
Y, X = np.mgrid[0:24, 0:40]
DICE = np.random.default_rng(11)
JPEG_LOSSLESS, JPEG_LS, J2K = (f"1.2.840.10008.1.2.4.{last}" for last in (70, 80, 90))
UIDS = {0x00080018: element(0x00080018, "UI", b"1.2.3.4"), 0x0020000D: element(0x0020000D, "UI", b"1.2.3")}


def samples(stored: int, signed: bool, allocated: int) -> Array:
    """Every level of a depth, or random ones of a large one."""
    lowest = -(1 << stored - 1) if signed else 0
    values = DICE.integers(lowest, lowest + (1 << stored), (24, 40))
    values[0, :2] = lowest, lowest + (1 << stored) - 1
    return values.astype(f"{'i' if signed else 'u'}{allocated // 8}")


def rewritten(data: bytes, syntax: str) -> bytes:
    dataset, out = dcmread(BytesIO(data)), BytesIO()
    if syntax == RLELossless:
        compress(dataset, syntax)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(dataset.pixel_array.dtype.newbyteorder(">")).tobytes()
        # 8-bit pixels as words would be swapped, which readers differ on
        dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    little, is_implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    dcmwrite(out, dataset, little_endian=little, implicit_vr=is_implicit, enforce_file_format=True)
    return out.getvalue()


def in_frames(encode: Callable[[Array], bytes], syntax: str) -> Callable[[Array, int], bytes]:
    def write(pixels: Array, stored: int) -> bytes:
        signed = int(pixels.dtype.kind == "i")
        module = image_module(24, 40, 8 * pixels.dtype.itemsize, stored=stored, signed=signed) | UIDS
        return dicom(module, encapsulated(encode(pixels)), syntax, SECONDARY)

    return write


def plain(pixels: Array, stored: int) -> bytes:
    return native(pixels, stored=stored, extra=UIDS, sop_class=SECONDARY, modality="OT")


def through(syntax: str) -> Callable[[Array, int], bytes]:
    return lambda pixels, stored: rewritten(plain(pixels, stored), syntax)


def j2k(pixels: Array) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k"))


ENCODINGS: dict[str, tuple[Callable[[Array, int], bytes], bool]] = {
    "explicit": (plain, True),
    "implicit": (through(ImplicitVRLittleEndian), True),
    "big endian": (through(ExplicitVRBigEndian), True),
    "deflated": (through(DeflatedExplicitVRLittleEndian), True),
    "rle": (through(RLELossless), True),
    "jpeg lossless": (in_frames(imagecodecs.ljpeg_encode, JPEG_LOSSLESS), False),
    "jpeg-ls": (in_frames(imagecodecs.jpegls_encode, JPEG_LS), False),
    "jpeg 2000": (in_frames(j2k, J2K), True),
}
"""How to write, and whether signed pixels may be."""


def by_simpleitk(folder: Path, data: bytes) -> Array:
    path = folder / "one.dcm"
    path.write_bytes(data)
    pixels: Array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return pixels.reshape(pixels.shape[-2:]) if pixels.shape[-1] != 3 else pixels.reshape(pixels.shape[-3:])


def stretched(values: Array) -> Array:
    values = values.astype(float)
    return np.rint((values - values.min()) / (values.max() - values.min()) * 255)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_greys_of_every_depth_are_those_of_simpleitk(encoding: str, tmp_path: Path) -> None:
    write, may_be_signed = ENCODINGS[encoding]
    for stored, allocated, signed in ((8, 8, False), (10, 16, False), (12, 16, False), (16, 16, False),
                                      (12, 16, True), (16, 16, True)):  # fmt: skip
        if signed and not may_be_signed:
            continue
        pixels = samples(stored, signed, allocated)
        data = write(pixels, stored)
        theirs = by_simpleitk(tmp_path, data)
        assert np.array_equal(theirs, pixels), (stored, signed)
        right = pixels if (stored, signed) == (8, False) else stretched(theirs)
        assert np.array_equal(shown(data, percentiles=(0, 100)), right), (stored, signed)


def test_rescaled_values_are_those_of_simpleitk(tmp_path: Path) -> None:
    for slope, intercept in ((1, -1024), (0.37, 12.5), (-2, 100), (5e-6, 0)):
        extra = UIDS | {SLOPE: ds(SLOPE, slope), INTERCEPT: ds(INTERCEPT, intercept)}
        data = native(samples(12, False, 16), extra=extra)
        difference = shown(data, percentiles=(0, 100)) - stretched(by_simpleitk(tmp_path, data))
        assert np.abs(difference).max() <= 1, (slope, intercept)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colours_are_those_of_simpleitk(planar: int, photometric: str, tmp_path: Path) -> None:
    pixels = np.stack([X * 6, Y * 10, (X + Y) * 4], -1).astype(np.uint8)
    if photometric == "YBR_FULL":
        pixels = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    stored = pixels.transpose(2, 0, 1) if planar else pixels
    module = (
        image_module(24, 40, 8, samples=3, photometric=photometric)
        | {0x00280006: us(0x00280006, planar)}
        | UIDS
    )
    data = dicom(module, element(0x7FE00010, "OB", stored.tobytes()), sop_class=SECONDARY)
    assert np.abs(shown(data).astype(int) - by_simpleitk(tmp_path, data)).max() <= 1


def by_dcmtk(folder: Path, data: bytes, *options: str) -> Array:
    path, out = folder / "one.dcm", folder / "one.pgm"
    path.write_bytes(data)
    subprocess.run(["dcm2pnm", "+opb", *options, str(path), str(out)], check=True, capture_output=True)
    return np.asarray(Image.open(out))


def table(tag: int, values: Array, first: int = 0, bits: int = 16) -> dict[int, bytes]:
    head = us(0x00283002, len(values) & 0xFFFF, first, bits)
    return {tag: sequence(tag, head + element(0x00283006, "OW", values.astype("<u2").tobytes()))}


CURVE = (np.linspace(0, 1, 4096) ** 2 * 65535).astype(np.uint16)
HALVED = {SLOPE: ds(SLOPE, 0.5), INTERCEPT: ds(INTERCEPT, -300)}
TWO_WINDOWS = {CENTRE: ds(CENTRE, 900, 9), WIDTH: ds(WIDTH, 700, 5)}
BY_WINDOW, BY_TABLE = ("+Wi", "1"), ("+Wl", "1")
PIPELINES: dict[str, tuple[dict[str, Any], dict[int, bytes], tuple[str, ...]]] = {
    "a window": ({}, window(2000, 1500), BY_WINDOW),
    "a window of two": ({}, TWO_WINDOWS, BY_WINDOW),
    "a window after a rescale": ({}, HALVED | window(500, 900), BY_WINDOW),
    "a sigmoid": ({}, window(2000, 1500, "SIGMOID"), BY_WINDOW),
    "white first": ({"photometric": "MONOCHROME1"}, window(2000, 1500), BY_WINDOW),
    "a modality table": ({}, table(0x00283000, CURVE) | window(30_000, 50_000), BY_WINDOW),
    "a table of interest": ({}, table(0x00283010, CURVE), BY_TABLE),
    "a table that starts late": ({}, table(0x00283010, CURVE[:1000], 1500), BY_TABLE),
    "a high bit of 15": ({"high": 15}, window(2000, 1500), BY_WINDOW),
    "a high bit of 13": ({"high": 13}, window(2000, 1500), BY_WINDOW),
}


@pytest.mark.skipif(not shutil.which("dcm2pnm"), reason="no dcmtk here")
@pytest.mark.parametrize("name", PIPELINES)
def test_the_grey_pipeline_is_that_of_dcmtk(name: str, tmp_path: Path) -> None:
    changes, extra, options = PIPELINES[name]
    high = changes.get("high", 11)
    pixels = samples(12, False, 16) << np.uint16(high - 11)
    module = image_module(24, 40, 16, stored=12, photometric=changes.get("photometric", "MONOCHROME2"))
    module |= UIDS | extra | {0x00280102: us(0x00280102, high)}
    data = dicom(module, element(0x7FE00010, "OW", pixels.tobytes()), sop_class=SECONDARY, modality="OT")
    theirs = by_dcmtk(tmp_path, data, *options)
    assert np.abs(shown(data).astype(int) - theirs).max() <= 1
