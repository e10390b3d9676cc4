"""TIFF pages that writers, cameras and microscopes make: masks, pyramids, channels, odd layouts, refusals."""

import zlib
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.tiff_files import Page, page, tiff

Y, X = np.mgrid[0:24, 0:40]
GREY = (X * 5 + Y).astype(np.uint8)
DEEP = (X * 1500 + Y).astype(np.uint16)
RGB = np.stack([X * 6, Y * 9, (X + Y) * 3], -1).astype(np.uint8)


def slices(data: bytes, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**{"percentiles": (0, 100)} | settings))[1])


def shown(data: bytes) -> np.ndarray[Any, Any]:
    (only,) = slices(data)
    return only.pixels


def refusal(data: bytes, **settings: Any) -> ScreeningError:
    with pytest.raises(ScreeningError) as caught:
        slices(data, **settings)
    return caught.value


def stretched(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    low, high = float(values.min()), float(values.max())
    return np.rint((values.astype(float) - low) / (high - low) * 255).astype(np.uint8)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_both_generations(order: str, big: bool) -> None:
    assert np.array_equal(shown(tiff(page(RGB), order=order, big=big)), RGB)
    deep = page(DEEP.astype(order + "u2"))
    assert np.array_equal(shown(tiff(deep, order=order, big=big)), stretched(DEEP))


@pytest.mark.parametrize("mask", [{"subfile": 4}, {"photometric": 4}, {"subfile": 4, "photometric": 4}])
def test_a_mask_is_no_slice_of_its_own(mask: dict[str, int]) -> None:
    bits = Page([b"\xff" * 5 * 24], page(GREY, bits=1, **mask).tags)
    (only,) = slices(tiff(page(RGB), bits))
    assert np.array_equal(only.pixels, RGB)
    assert (only.plane, only.applied) == ("image", ("mask_ignored",))


def test_a_pyramid_gives_its_full_level() -> None:
    small = page(RGB[::2, ::2].copy(), subfile=1)
    thumbnail = page(RGB[::4, ::4].copy(), subfile=1)
    for pages in ((page(RGB), small, thumbnail), (thumbnail, page(RGB), small)):
        (only,) = slices(tiff(*pages))
        assert np.array_equal(only.pixels, RGB)
        assert only.plane == "image"


def test_full_pictures_below_a_small_one_are_found() -> None:
    preview = page(RGB[::4, ::4].copy(), subfile=1)
    assert np.array_equal(shown(tiff(preview, below=[page(DEEP)])), stretched(DEEP))
    raw = page(DEEP, photometric=32803)
    assert "colour filter array" in refusal(tiff(preview, below=[raw])).detail
    assert np.array_equal(shown(tiff(preview)), RGB[::4, ::4])


def test_pages_of_every_kind_in_one_file() -> None:
    pages = [page(GREY), page(DEEP), page(RGB), page(DEEP.astype(np.float64), format=3)]
    found = slices(tiff(*pages))
    assert [one.plane for one in found] == ["page"] * 4
    for one, right in zip(found, (GREY, stretched(DEEP), RGB, stretched(DEEP)), strict=True):
        assert np.array_equal(one.pixels, right)


def test_channels_of_imagej_are_named() -> None:
    planes = np.stack([DEEP * (1 + channel) // 9 + z for z in range(2) for channel in range(3)]).reshape(
        2, 3, 24, 40
    )
    out = BytesIO()
    tifffile.imwrite(out, planes.astype(np.uint16), imagej=True, metadata={"axes": "ZCYX"})
    found = slices(out.getvalue())
    assert [one.plane for one in found] == [f"page/channel_{channel}" for channel in (1, 2, 3)] * 2
    for one, right in zip(found, planes.reshape(6, 24, 40), strict=True):
        assert np.array_equal(one.pixels, stretched(right))


@pytest.mark.parametrize("axes", ["CZYX", "ZCYX", "TCYX"])
def test_channels_of_ome_xml_are_named(axes: str) -> None:
    out = BytesIO()
    tifffile.imwrite(out, np.stack([DEEP + page for page in range(6)]).reshape(
        (3, 2, 24, 40) if axes[0] == "C" else (2, 3, 24, 40)), ome=True, metadata={"axes": axes},
        photometric="minisblack")  # fmt: skip
    names = [int(one.plane.removeprefix("page/channel_")) for one in slices(out.getvalue())]
    assert names == ([1, 1, 2, 2, 3, 3] if axes[0] == "C" else [1, 2, 3, 1, 2, 3])


def test_samples_without_a_colour_are_channels() -> None:
    five = np.stack([GREY // (1 + channel) for channel in range(5)], -1)
    planes = [np.ascontiguousarray(five[..., channel]).tobytes() for channel in range(5)]
    for each in (page(five, photometric=1), page(five, planes, photometric=1, planar=2)):
        found = slices(tiff(each))
        assert [one.plane for one in found] == [f"image/channel_{channel}" for channel in range(1, 6)]
        assert all(np.array_equal(one.pixels, five[..., at]) for at, one in enumerate(found))


def test_a_stack_behind_one_directory_is_shown_whole() -> None:
    """As ImageJ writes stacks above 4 GB: planes behind the first, which alone has a directory."""
    planes = [DEEP, DEEP[::-1], DEEP[:, ::-1]]
    body = b"".join(plane.astype("<u2").tobytes() for plane in planes)
    about = b"ImageJ=1.54f\nimages=3\nslices=3\n\0"
    whole = tiff(page(DEEP, [body], description=about, strip_counts=DEEP.nbytes))
    found = slices(whole)
    assert [one.plane for one in found] == ["page"] * 3
    assert all(np.array_equal(one.pixels, stretched(right)) for one, right in zip(found, planes, strict=True))
    cut = tiff(
        page(DEEP, [body], description=about.replace(b"images=3", b"images=9"), strip_counts=DEEP.nbytes)
    )
    assert refusal(cut).reason is Reason.TRUNCATED


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_planes_in_depth_are_slices(tile: tuple[int, int] | None) -> None:
    volume = np.stack([DEEP, DEEP[::-1], DEEP // 2])
    out = BytesIO()
    layout: dict[str, Any] = {"tile": (2, *tile)} if tile else {}
    tifffile.imwrite(out, volume, photometric="minisblack", volumetric=True, metadata=None, **layout)
    found = slices(out.getvalue())
    assert [one.plane for one in found] == [f"image/depth_{depth}" for depth in (1, 2, 3)]
    assert all(np.array_equal(one.pixels, stretched(right)) for one, right in zip(found, volume, strict=True))


def test_tiles_whose_places_stand_under_strips() -> None:
    padded = np.zeros((32, 48), np.uint8)
    padded[:24, :40] = GREY
    tiles = [padded[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    proper = page(GREY, tiles, tile_cols=16, tile_rows=16)
    assert np.array_equal(shown(tiff(proper)), GREY)
    offsets = tifffile.TiffFile(BytesIO(tiff(proper))).pages[0].dataoffsets
    moved = proper.tags | {273: (4, offsets), 279: (4, [len(tile) for tile in tiles])}
    assert np.array_equal(shown(tiff(Page(tiles, moved), tiles_named=False)), GREY)


def test_tiles_and_strips_that_are_left_out_are_black() -> None:
    sparse = page(GREY, [], tile_cols=16, tile_rows=16, tile_offsets=[0] * 6, tile_counts=[0] * 6)
    assert not shown(tiff(sparse)).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_deep_pages(orientation: int) -> None:
    as_eight = shown(tiff(page(GREY, orientation=orientation)))
    deep = shown(tiff(page(GREY.astype(np.uint16) * 257, orientation=orientation)))
    assert np.abs(deep.astype(int) - stretched(as_eight)).max() <= 1


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2), (4, 4)])
@pytest.mark.parametrize("compression", [1, 5, 8])
@pytest.mark.parametrize("strip", [24, 8])
def test_luminance_and_chroma_that_no_jpeg_compressed(
    across: int, down: int, compression: int, strip: int
) -> None:
    rows, cols = 24, 39  # columns end within a unit
    light = GREY[:, :cols]
    chroma = [np.full((-(-rows // down), -(-cols // across)), 128, np.uint8) for _ in range(2)]
    chroma[0][:] = np.linspace(60, 200, chroma[0].shape[1])
    chroma[1][:] = np.linspace(90, 170, chroma[1].shape[0])[:, None]
    padded = np.pad(light, ((0, -rows % down), (0, -cols % across)), mode="edge")
    units = padded.reshape(-(-rows // down), down, -(-cols // across), across).swapaxes(1, 2)
    body = np.concatenate([units.reshape(*units.shape[:2], -1), *(plane[..., None] for plane in chroma)], -1)
    pack = {1: bytes, 5: imagecodecs.lzw_encode, 8: zlib.compress}[compression]
    strips = [pack(body[y // down : (y + strip) // down].tobytes()) for y in range(0, rows, strip)]
    stored = page(np.zeros((rows, cols, 3), np.uint8), strips, photometric=6, compression=compression,
                  subsampling=[across, down], rows_per_strip=strip)  # fmt: skip
    full = [plane.repeat(down, 0).repeat(across, 1)[:rows, :cols] for plane in chroma]
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in (light, *full)]
    assert np.array_equal(shown(tiff(stored)), np.asarray(Image.merge("YCbCr", planes).convert("RGB")))


def test_the_range_of_video_is_told_by_its_reference_values() -> None:
    ycc = np.stack(
        [np.linspace(16, 235, 960).reshape(24, 40), np.full((24, 40), 128), np.full((24, 40), 128)], -1
    )
    reference = [each for level in (16, 235, 128, 240, 128, 240) for each in (level, 1)]
    stored = page(np.rint(ycc).astype(np.uint8), photometric=6, subsampling=[1, 1], black_white=reference)
    right = np.linspace(0, 255, 960).reshape(24, 40)
    assert np.abs(shown(tiff(stored)).astype(float) - right[..., None]).max() <= 1


def test_fax_pages_are_no_bomb_and_many_pages_of_one_strip_are() -> None:
    blank = [Image.new("1", (2480, 3508), 1) for _ in range(5)]
    out = BytesIO()
    blank[0].save(out, "TIFF", save_all=True, append_images=blank[1:], compression="group4")
    found = slices(out.getvalue())
    assert [one.pixels.shape for one in found] == [(3508, 2480)] * 5
    assert all((one.pixels == 255).all() for one in found)


def blank_pages(count: int, megabytes: int) -> list[Page]:
    strip = zlib.compress(bytes(megabytes << 20))
    one = page(
        GREY, [strip], compression=8, rows=1024 * megabytes, cols=1024, rows_per_strip=1024 * megabytes
    )
    return [one] * count


def test_pages_count_by_themselves_up_to_a_limit_of_all() -> None:
    many = tiff(*blank_pages(60, 1))
    assert len(slices(many)) == 60
    assert refusal(many, limits=Limits(inflated_bytes=40 << 20)).reason is Reason.BOMB


def test_pages_over_the_same_strip_count_together() -> None:
    (one,) = blank_pages(1, 1)
    shared = [Page([], one.tags | {273: (4, [8]), 279: (4, [len(one.segments[0])])}) for _ in range(60)]
    assert refusal(tiff(one, *shared)).reason is Reason.BOMB


def test_a_photometric_that_is_missing_follows_from_the_samples() -> None:
    for pixels in (GREY, RGB):
        tags = page(pixels).tags
        del tags[262]
        assert np.array_equal(shown(tiff(Page([pixels.tobytes()], tags))), pixels)


INKS = np.dstack([RGB, GREY])
REFUSED = {
    "CIELab": page(RGB, photometric=8),
    "a colour filter array": page(DEEP, photometric=32803),
    "colour space 99": page(RGB, photometric=99),
    "JPEG XR": page(RGB, compression=34934),
    "old-style JPEG": page(DEEP, compression=6),
    "method 34999": page(RGB, compression=34999),
    "different bits": page(RGB, bits=[5, 6, 5]),
    "other than CMYK": page(INKS, photometric=5, ink_set=2),
    "12 bits in format 3": page(DEEP, bits=12, format=3),
    "24 bits in format 1": page(DEEP, bits=24),
    "LERC within another": page(
        GREY, [imagecodecs.lerc_encode(GREY)], compression=34887, lerc_options=[4, 1]
    ),
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_stays_unread_is_named(word: str) -> None:
    error = refusal(tiff(REFUSED[word]))
    assert error.reason is Reason.UNSUPPORTED
    assert word in error.detail


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (page(DEEP, [DEEP.tobytes()[:-9]]), Reason.TRUNCATED),
        (page(DEEP, [zlib.compress(DEEP.tobytes()[:-200])], compression=8), Reason.TRUNCATED),
        (page(DEEP, [imagecodecs.lzw_encode(DEEP.tobytes())[:-300]], compression=5), Reason.TRUNCATED),
        (page(DEEP, [zlib.compress(DEEP.tobytes())[:-300]], compression=8), Reason.TRUNCATED),
        (page(DEEP, rows_per_strip=8), Reason.MALFORMED),
        (page(DEEP, strip_counts=1 << 20, compression=8), Reason.TRUNCATED),
        (page(DEEP, cols=0), Reason.MALFORMED),
        (page(DEEP, samples=0), Reason.MALFORMED),
        (page(DEEP, cols=100_000), Reason.TOO_LARGE),
        (page(DEEP, tile_cols=60_000, tile_rows=60_000), Reason.TOO_LARGE),
        (page(DEEP, [zlib.compress(bytes(100))], cols=30_000, rows=30_000, compression=8), Reason.TOO_LARGE),
        (page(DEEP, [zlib.compress(bytes(100))], cols=20_000, rows=20_000, compression=8), Reason.BOMB),
    ],
)  # fmt: skip
def test_broken_pages_have_reasons(broken: Page, reason: Reason) -> None:
    error = refusal(tiff(broken))
    assert error.reason is reason
    assert error.detail


def test_a_picture_in_a_tile_may_not_be_larger_than_the_tile() -> None:
    large = np.zeros((400, 400, 3), np.uint8)
    for code, encode in ((50001, imagecodecs.webp_encode), (34933, imagecodecs.png_encode),
                         (34712, imagecodecs.jpeg2k_encode), (50002, imagecodecs.jpegxl_encode),
                         (7, imagecodecs.jpeg8_encode), (34887, imagecodecs.lerc_encode)):  # fmt: skip
        error = refusal(tiff(page(RGB, [encode(large)], compression=code)))
        assert error.reason in (Reason.MALFORMED, Reason.TRUNCATED), code


def test_a_repeated_tag_is_read_once_by_both() -> None:
    data = bytearray(tiff(page(GREY)))
    at = data.index(b"\x16\x01\x04\x00")  # RowsPerStrip becomes a second BitsPerSample, of 16
    data[at : at + 12] = b"\x02\x01\x03\x00\x01\x00\x00\x00\x10\x00\x00\x00"
    assert np.array_equal(shown(bytes(data)), GREY)
