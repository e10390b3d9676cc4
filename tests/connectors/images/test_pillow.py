"""PNG, JPEG, TIFF, BMP, WebP and JPEG 2000: modes, depths, orientation, pages, transparency."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.writing import picture

CORNER = np.zeros((20, 30, 3), np.uint8)
CORNER[:5, :10] = (250, 40, 40)
CORNER[-5:, :5] = (40, 40, 250)
TURNED = {
    1: CORNER, 2: CORNER[:, ::-1], 3: CORNER[::-1, ::-1], 4: CORNER[::-1], 5: CORNER.transpose(1, 0, 2),
    6: CORNER[::-1].transpose(1, 0, 2), 7: CORNER[::-1, ::-1].transpose(1, 0, 2),
    8: CORNER[:, ::-1].transpose(1, 0, 2),
}  # fmt: skip


def saved(pixels: np.ndarray[Any, Any], form: str, **options: Any) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def slices(data: bytes, target: int | None = None, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**settings), target=target)[1])


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_pictures_upright(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # what a camera stores: the upright picture, turned by the inverse of its tag
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    stored = np.ascontiguousarray(TURNED[inverse])
    options: dict[str, Any] = {"exif": exif} | ({"lossless": True} if form == "WEBP" else {})
    (only,) = slices(saved(stored, form, **options))
    assert np.array_equal(only.pixels, CORNER)


def test_exif_orientation_of_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (only,) = slices(saved(np.ascontiguousarray(TURNED[8]), "JPEG", exif=exif, quality=95, subsampling=0))
    assert np.abs(only.pixels.astype(int) - CORNER).mean() < 3
    assert only.applied == ("orientation",)


def test_a_damaged_exif_block_does_not_hide_the_picture() -> None:
    data = saved(CORNER, "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff garbage")
    (only,) = slices(data)
    assert only.pixels.shape == CORNER.shape


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_greys_are_stretched_not_clipped(form: str) -> None:
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30) * 3 + 20000
    (only,) = slices(saved(grey, form), percentiles=(0, 100))
    assert np.array_equal(only.pixels, np.rint((grey - 20000.0) / 1797 * 255))
    assert only.applied == ("percentile",)


def test_floats_and_wide_integers() -> None:
    floats = np.linspace(-1, 1, 600, dtype=np.float32).reshape(20, 30)
    floats[0, 0] = np.nan
    (only,) = slices(saved(floats, "TIFF"), percentiles=(0, 100))
    assert only.pixels[0, 0] == 0
    assert only.pixels[-1, -1] == 255
    wide = np.arange(600, dtype=np.int32).reshape(20, 30) * 100_000
    (only,) = slices(saved(wide, "TIFF"), percentiles=(0, 100))
    assert np.array_equal(only.pixels, np.rint(wide / 59_900_000 * 255))
    with pytest.raises(ScreeningError, match=Reason.NOT_FINITE):
        slices(saved(np.full((4, 4), np.nan, np.float32), "TIFF"))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compressions(compression: str | None) -> None:
    (only,) = slices(saved(CORNER, "TIFF", compression=compression))
    assert np.array_equal(only.pixels, CORNER)


def test_pages_of_a_tiff_are_slices() -> None:
    pages = [Image.fromarray(np.full((8, 9 + page), 50 * page, np.uint8)) for page in range(4)]
    out = BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    found = slices(out.getvalue())
    assert [(s.plane, s.pixels.shape, int(s.pixels[0, 0])) for s in found] == [
        ("page", (8, 9 + page), 50 * page) for page in range(4)
    ]
    with pytest.raises(ScreeningError, match=Reason.TOO_LARGE):
        slices(out.getvalue(), limits=Limits(frames=3))


def test_frames_of_an_animation_are_slices() -> None:
    frames = [Image.fromarray(np.full((8, 9, 3), 50 * frame, np.uint8)) for frame in range(3)]
    out = BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert [int(s.pixels[0, 0, 0]) for s in slices(out.getvalue())] == [0, 50, 100]


def test_transparency_is_laid_over_white() -> None:
    rgba = np.dstack([CORNER, np.full((20, 30), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    (only,) = slices(saved(rgba, "PNG"))
    assert (only.pixels[:10] == 255).all()
    assert np.array_equal(only.pixels[10:], CORNER[10:])


@pytest.mark.parametrize(("mode", "note"), [("P", "palette"), ("CMYK", "cmyk"), ("1", None), ("L", None)])
def test_modes(mode: str, note: str | None) -> None:
    form = {"CMYK": "JPEG"}.get(mode, "TIFF")
    (only,) = slices(picture(form, mode=mode))
    assert only.pixels.ndim == (2 if mode in ("1", "L") else 3)
    assert only.applied == ((note,) if note else ())
    reference = np.asarray(
        Image.open(BytesIO(picture(form, mode=mode))).convert("L" if mode in "1L" else "RGB")
    )
    assert np.array_equal(only.pixels, reference)


def test_colour_profiles_are_noted() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (only,) = slices(saved(CORNER, "PNG", icc_profile=profile))
    assert "icc_ignored" in only.applied


def test_a_scaled_decode_is_close_to_the_full_one() -> None:
    smooth = np.add.outer(np.sin(np.arange(900) / 40), np.cos(np.arange(1300) / 60)) * 60 + 120
    data = saved(np.stack([smooth] * 3, -1).astype(np.uint8), "JPEG")
    (full,), (scaled,) = slices(data), slices(data, target=100)
    assert full.full_size is None
    assert scaled.full_size == (900, 1300)
    assert 200 <= min(scaled.pixels.shape[:2]) < 450
    small = [np.asarray(Image.fromarray(s.pixels).resize((100, 100), Image.Resampling.BICUBIC), float)
             for s in (full, scaled)]  # fmt: skip
    assert np.abs(small[0] - small[1]).mean() < 1


@pytest.mark.parametrize("form", ["JPEG", "JPEG2000", "PNG"])
def test_small_pictures_and_other_formats_are_not_scaled(form: str) -> None:
    (only,) = slices(picture(form, 60, 60), target=40 if form == "JPEG" else 10)
    assert only.full_size is None


def test_a_pyramid_of_pages_is_no_bomb() -> None:
    pages = [Image.fromarray(np.full((5000 >> level, 6000 >> level), 9, np.uint8)) for level in range(6)]
    out = BytesIO()
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    assert [s.pixels.shape for s in slices(out.getvalue())] == [page.size[::-1] for page in pages]


def test_variants_without_a_decoder_are_unsupported() -> None:
    data = bytearray(saved(np.zeros((8, 8), np.uint8), "TIFF"))
    at = data.find(b"\x02\x01\x03\x00\x01\x00\x00\x00\x08\x00")  # BitsPerSample is 8
    data[at + 8] = 24
    with pytest.raises(ScreeningError, match=Reason.UNSUPPORTED):
        slices(bytes(data))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "WEBP"])
def test_cut_files_are_truncated(form: str) -> None:
    data = picture(form, 200, 300)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(ScreeningError) as caught:
            slices(data[: int(len(data) * share)])
        assert caught.value.reason in (Reason.TRUNCATED, Reason.MALFORMED)


def test_pillow_s_own_limits_and_registry_are_left_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS, dict(Image.OPEN)
    slices(picture("PNG"))
    assert before == (Image.MAX_IMAGE_PIXELS, dict(Image.OPEN))
