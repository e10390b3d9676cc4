"""JPEG XL, AVIF, GIF and animations, and JPEG beyond 8 bits: pictures, frames, limits, refusals."""

import struct
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

Y, X = np.mgrid[0:48, 0:64]
GREY = (X * 4).astype(np.uint8)
DEEP = (X * 1000 + Y).astype(np.uint16)
RGB = np.stack([X * 4, Y * 5, (X + Y) * 2], -1).astype(np.uint8)
ALPHA = (255 - X * 3).astype(np.uint8)


def slices(data: bytes, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**{"percentiles": (0, 100)} | settings))[1])


def shown(data: bytes) -> np.ndarray[Any, Any]:
    (only,) = slices(data)
    return only.pixels


def refusal(data: bytes, **settings: Any) -> ScreeningError:
    with pytest.raises(ScreeningError) as caught:
        slices(data, **settings)
    return caught.value


def saved(frames: list[np.ndarray[Any, Any]], form: str, **options: Any) -> bytes:
    out = BytesIO()
    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(out, form, save_all=bool(others), append_images=others, **options)
    return out.getvalue()


def stretched(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.rint((values - values.min()) / float(values.max() - values.min()) * 255)


def over_white(pixels: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    opacity = (alpha if pixels.ndim == 2 else alpha[..., None]) / 255
    return pixels * opacity + 255 * (1 - opacity)


def jxl(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(pixels, **{"lossless": True} | options))


@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl(container: bool) -> None:
    options = {"usecontainer": container}
    assert np.array_equal(shown(jxl(GREY, **options)), GREY)
    assert np.array_equal(shown(jxl(RGB, **options)), RGB)
    assert np.array_equal(shown(jxl(DEEP, **options)), stretched(DEEP))
    assert np.array_equal(shown(jxl(RGB.astype(np.uint16) * 257, **options)), RGB)
    twelve = DEEP >> 4
    assert np.array_equal(shown(jxl(twelve, bitspersample=12, **options)), stretched(twelve))
    floats = (DEEP / 65535).astype(np.float32)
    assert np.abs(shown(jxl(floats, **options)) - stretched(floats)).max() <= 1


def test_jpeg_xl_with_opacity() -> None:
    colour = shown(jxl(np.dstack([RGB, ALPHA])))
    assert np.abs(colour - over_white(RGB, ALPHA)).max() <= 1
    grey = shown(jxl(np.dstack([GREY, ALPHA])))
    assert np.abs(grey - over_white(GREY, ALPHA)).max() <= 1


def test_lossy_and_recompressed_jpeg_xl() -> None:
    assert np.abs(shown(jxl(RGB, lossless=False, level=95)).astype(int) - RGB).mean() < 3
    jpeg = saved([RGB], "JPEG", quality=95)
    recompressed = imagecodecs.jpegxl_encode_jpeg(jpeg)
    assert np.abs(shown(recompressed).astype(int) - shown(jpeg)).mean() < 2


def test_what_jpeg_xl_may_hold_and_is_not_read() -> None:
    error = refusal(jxl(np.stack([RGB, RGB[::-1]])))
    assert (error.reason, "animation" in error.detail) == (Reason.UNSUPPORTED, True)


def bits(*fields: tuple[int, int]) -> bytes:
    """Fields (value, bits), the lowest bit of the first one first."""
    number = place = 0
    for value, count in fields:
        number |= value << place
        place += count
    return number.to_bytes(-(-place // 8), "little")


def test_jpeg_xl_headers_are_limited() -> None:
    wide = (2, 2), (30_000 - 1, 18)
    bomb = b"\xff\x0a" + bits((0, 1), *wide, (0, 3), *wide, (1, 1))
    assert refusal(bomb + bytes(50), limits=Limits(frame_bytes=1 << 32)).reason is Reason.BOMB
    assert refusal(bomb + bytes(50)).reason is Reason.TOO_LARGE
    assert refusal(b"\xff\x0a\x00").reason is Reason.TRUNCATED
    assert refusal(jxl(RGB)[:100]).reason in (Reason.TRUNCATED, Reason.MALFORMED)


def test_avif() -> None:
    assert np.abs(shown(saved([RGB], "AVIF", quality=100)).astype(int) - RGB).mean() < 2
    clear = shown(saved([np.dstack([RGB, ALPHA])], "AVIF", quality=100))
    assert np.abs(clear - over_white(RGB, ALPHA)).mean() < 3
    theirs = imagecodecs.avif_decode(saved([RGB], "AVIF", quality=60))
    assert np.abs(shown(saved([RGB], "AVIF", quality=60)).astype(int) - theirs).max() <= 4
    deep = imagecodecs.avif_encode((RGB.astype(np.uint16) << 2), bitspersample=10, level=100)
    assert np.abs(shown(deep).astype(int) - RGB).mean() < 2


@pytest.mark.parametrize("form", ["AVIF", "GIF", "PNG", "WEBP"])
def test_frames_of_animations_are_slices(form: str) -> None:
    frames = [RGB, RGB[::-1].copy(), RGB[:, ::-1].copy()]
    options: dict[str, Any] = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(form, {})
    found = slices(saved(frames, form, **options))
    assert [one.plane for one in found] == ["page"] * 3
    for one, right in zip(found, frames, strict=True):
        assert np.abs(one.pixels.astype(int) - right).mean() < (9 if form == "GIF" else 3)
    assert refusal(saved(frames, form, **options), limits=Limits(frames=2)).reason is Reason.TOO_LARGE


def test_gif_frames_are_put_together() -> None:
    """The second frame is a part of the first one's place; grey stays grey."""
    second = GREY.copy()
    second[10:20, 10:30] = 9
    found = slices(saved([GREY, second, GREY], "GIF"))
    assert [one.pixels.ndim for one in found] == [2, 2, 2]
    for one, right in zip(found, (GREY, second, GREY), strict=True):
        assert np.array_equal(one.pixels, right)
    theirs = imagecodecs.gif_decode(saved([GREY, second, GREY], "GIF"))
    assert np.array_equal(np.stack([one.pixels for one in found]), theirs[..., 0])


def test_gif_transparency_and_still_pictures() -> None:
    still = Image.fromarray(GREY).convert("P")
    out = BytesIO()
    still.save(out, "GIF", transparency=int(np.asarray(still)[0, 9]))
    (one,) = slices(out.getvalue())
    assert (one.pixels[np.asarray(still) == np.asarray(still)[0, 9]] == 255).all()
    assert one.plane == "image"


def test_gifs_are_walked_before_they_are_decoded() -> None:
    data = bytearray(saved([GREY, GREY[:, ::-1].copy()], "GIF"))
    assert refusal(bytes(data[:-80])).reason is Reason.TRUNCATED
    assert len(slices(bytes(data[:-1]))) == 2, "a trailer that is missing is no loss"
    struct.pack_into("<HH", data, 6, 60_000, 60_000)
    assert refusal(bytes(data)).reason is Reason.TOO_LARGE
    assert refusal(b"GIF89a" + bytes(50)).reason is Reason.TRUNCATED
    assert refusal(b"GIF89a\x04\x00\x04\x00\x00\x00\x00\x99" + bytes(50)).reason is Reason.MALFORMED


def test_blank_frames_together_are_no_bomb() -> None:
    blank = [np.full((1000, 1200), at, np.uint8) for at in range(10)]
    data = saved(blank, "GIF")
    assert len(slices(data)) == 10
    assert refusal(data, limits=Limits(inflated_bytes=30 << 20)).reason is Reason.BOMB


def test_jpeg_of_twelve_and_sixteen_bits() -> None:
    twelve = DEEP >> 4
    lossy = shown(imagecodecs.jpeg8_encode(twelve, bitspersample=12, level=98))
    assert np.abs(lossy - stretched(twelve)).max() <= 4
    assert np.array_equal(
        shown(imagecodecs.jpeg8_encode(DEEP, bitspersample=16, lossless=True)), stretched(DEEP)
    )
    colours = RGB.astype(np.uint16) << 4
    assert (
        np.abs(shown(imagecodecs.jpeg8_encode(colours, bitspersample=12, level=98)).astype(int) - RGB).mean()
        < 3
    )


def test_lossless_jpeg_and_jpeg_ls() -> None:
    assert np.array_equal(shown(imagecodecs.jpeg8_encode(GREY, lossless=True)), GREY)
    assert np.array_equal(shown(imagecodecs.jpeg8_encode(RGB, lossless=True)), RGB)
    for pixels, right in ((GREY, GREY), (RGB, RGB), (DEEP, stretched(DEEP))):
        stream = imagecodecs.jpegls_encode(pixels)
        for padding in (0, 1, 5):
            assert np.array_equal(shown(stream[:-2] + bytes(padding) + stream[-2:]), right)
    assert refusal(imagecodecs.jpegls_encode(GREY)[:-2]).reason is Reason.TRUNCATED


@pytest.mark.parametrize("interleaved", [0, 1, 2])
def test_jpeg_ls_in_every_interleaving(interleaved: int) -> None:
    import jpeg_ls

    stored = np.ascontiguousarray(RGB.transpose(2, 0, 1)) if interleaved == 0 else RGB
    stream = bytes(jpeg_ls.encode_array(stored, interleave_mode=interleaved))
    assert np.array_equal(shown(stream), RGB)
    assert np.array_equal(imagecodecs.jpegls_decode(stream), RGB)


@pytest.mark.parametrize(
    ("marker", "word"), [(0xC5, "hierarchical"), (0xCB, "arithmetic"), (0xCF, "hierarchical")]
)
def test_other_processes_of_jpeg_are_named(marker: int, word: str) -> None:
    data = saved([GREY], "JPEG").replace(b"\xff\xc0", bytes([0xFF, marker]))
    error = refusal(data)
    assert (error.reason, word in error.detail) == (Reason.UNSUPPORTED, True)


@pytest.mark.parametrize(("head", "name"), [
    (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"), (b"%PDF-1.7", "PDF"),
    (b"\x00\x00\x00\x18ftypmp42" + bytes(12), "video"), (b"RIFF\x00\x00\x00\x00AVI ", "AVI"),
    (b"8BPS\x00\x01", "Photoshop"), (b"qoif" + bytes(10), "QOI"), (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE\n", "Radiance"), (b"<?xml version='1.0'?>\n<svg>", "SVG"),
    (b"\x00\x00\x01\x00\x01\x00", "ICO"), (b"II\xbc\x01", "JPEG XR"), (b"NRRD0004", "NRRD"),
    (b"SIMPLE  = T", "FITS"),
    (bytes(40) + b"TRUEVISION-XFILE.\x00", "Targa"), (b"\x00\x00\x00\x18ftypcrx ", "camera raw"),
])  # fmt: skip
def test_formats_that_are_known_and_not_read_have_their_names(head: bytes, name: str) -> None:
    error = refusal(head + (b"" if name == "Targa" else bytes(80)))
    assert error.reason is Reason.UNSUPPORTED
    assert name in error.detail
