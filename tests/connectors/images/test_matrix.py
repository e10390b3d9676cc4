"""Every image format in the ways that writers have, beside an independent reader: OpenCV, or imagecodecs.

PNG, BMP, Netpbm and TIFF have tables of their own beside this one.
"""

from io import BytesIO
from itertools import product
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings

Array = np.ndarray[Any, Any]
SIZES = [(48, 64), (33, 47), (1, 1), (7, 300), (17, 16)]


def picture(rows: int, cols: int) -> Array:
    """Smooth in two directions, with a sharp block in it."""
    y, x = np.mgrid[0:rows, 0:cols]
    pixels = np.stack([x * 255 // cols, y * 255 // rows, (x + y) * 255 // (rows + cols)], -1).astype(np.uint8)
    pixels[rows // 3 : rows // 2, cols // 4 : cols // 2] = (200, 30, 90)
    return pixels


def saved(pixels: Array, form: str, mode: str = "RGB", **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, form, **options)
    return out.getvalue()


def frames(data: bytes) -> list[Array]:
    return [one.pixels for one in decode(data, DecodeSettings(percentiles=(0, 100)))[1]]


def opencv(data: bytes, flags: int = cv2.IMREAD_COLOR) -> Array:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    assert found is not None
    return found[..., ::-1] if found.ndim == 3 else found


def in_colour(pixels: Array) -> Array:
    return pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)


def off_by(data: bytes, theirs: Array) -> int:
    (pixels,) = frames(data)
    return int(np.abs(in_colour(pixels).astype(int) - in_colour(theirs)).max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg(size: tuple[int, int], mode: str) -> None:
    for subsampling, progressive, restarts in product((0, 1, 2), (False, True), (0, 3)):
        options = {"subsampling": subsampling} if mode == "RGB" else {}
        data = saved(picture(*size), "JPEG", mode, progressive=progressive, quality=90,
                     restart_marker_blocks=restarts, **options)  # fmt: skip
        # libjpeg-turbo in two builds: chroma is interpolated alike, rounding is its own
        assert off_by(data, opencv(data)) <= 3, (subsampling, progressive, restarts)
        assert off_by(data, imagecodecs.jpeg8_decode(data)) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_inks_of_jpeg(size: tuple[int, int]) -> None:
    data = saved(picture(*size), "JPEG", "CMYK", quality=95)
    assert off_by(data, opencv(data)) <= 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}, {"quality": 80, "exact": True}])
def test_webp(size: tuple[int, int], options: dict[str, Any]) -> None:
    data = saved(picture(*size), "WEBP", **options)
    assert off_by(data, opencv(data)) <= 1
    clear = saved(picture(*size), "WEBP", "RGBA", **options)
    assert off_by(clear, imagecodecs.webp_decode(clear)[..., :3]) <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("form", ["j2k", "jp2"])
def test_jpeg_2000(size: tuple[int, int], colour: bool, form: str) -> None:
    pixels = picture(*size) if colour else picture(*size)[..., 0].copy()
    for level, reversible, transform in ((0, True, True), (0, True, False), (70, False, True)):
        data = imagecodecs.jpeg2k_encode(
            pixels,
            level=level,
            reversible=reversible,
            mct=transform and colour,
            codecformat=form,
            resolutions=3,
        )
        # OpenCV has no bare grey codestreams
        theirs = opencv(data) if colour or form == "jp2" else imagecodecs.jpeg2k_decode(data)
        assert off_by(data, theirs) <= 1, (level, reversible, transform)


@pytest.mark.parametrize("size", SIZES[:2])
def test_avif(size: tuple[int, int]) -> None:
    for quality, subsampling in product((50, 100), ("4:2:0", "4:2:2", "4:4:4")):
        data = saved(picture(*size), "AVIF", quality=quality, subsampling=subsampling)
        # readers interpolate chroma in ways of their own
        (pixels,) = frames(data)
        assert np.abs(pixels.astype(int) - imagecodecs.avif_decode(data)).mean() < 2, (quality, subsampling)


@pytest.mark.parametrize("size", SIZES)
def test_jpeg_xl(size: tuple[int, int]) -> None:
    pixels = picture(*size)
    for effort, container in product((1, 5, 7), (False, True)):
        data = imagecodecs.jpegxl_encode(pixels, lossless=True, effort=effort, usecontainer=container)
        assert off_by(data, pixels) == 0, (effort, container)


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_animations(size: tuple[int, int], form: str) -> None:
    """Frames that change in part, with what was there before kept, taken away or put back."""
    first = picture(*size)
    second, third = first.copy(), first.copy()
    second[2:9, 3:11] = (9, 200, 40)
    third[-5:, -6:] = (250, 250, 10)
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    for disposal in (0, 1, 2) if form != "WEBP" else (0,):
        out = BytesIO()
        pages = [Image.fromarray(page) for page in (first, second, third)]
        options |= {"disposal": disposal} if form != "WEBP" else {}
        pages[0].save(out, form, save_all=True, append_images=pages[1:], **options)
        data = out.getvalue()
        ours = np.stack([in_colour(page) for page in frames(data)])
        if form == "GIF":
            theirs = imagecodecs.gif_decode(data)
        else:
            found = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[1]
            theirs = np.stack([page[..., ::-1] for page in found])
        assert np.abs(ours.astype(int) - theirs[..., :3]).max() <= 1, disposal


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_tiff(size: tuple[int, int], compression: str, mode: str) -> None:
    if compression == "jpeg" and mode in ("1", "P", "RGBA"):
        pytest.skip("JPEG holds no such pixels")
    pixels = picture(*size)
    data = saved(pixels, "TIFF", mode, compression=compression)
    theirs = opencv(data)
    assert off_by(data, theirs) <= (3 if compression == "jpeg" else 0)


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax(size: tuple[int, int], compression: str) -> None:
    data = saved(picture(*size), "TIFF", "1", compression=compression)
    assert off_by(data, opencv(data)) == 0
