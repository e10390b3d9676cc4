"""Masks survive their encodings; maps in strips are the whole map; tiles are merged as documented."""

import numpy as np
import pytest
import scipy.ndimage
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as coco

from s2sw.model.maps import MapLayer, full_map, token_count
from s2sw.pipeline.imaging import masks
from s2sw.pipeline.imaging.masks import (
    COCO_RLE,
    PACKBITS_ZSTD,
    STRIP_PIXELS,
    SliceMaps,
    decode_mask,
    empty_mask,
    encode_mask,
    measure,
)
from s2sw.pipeline.imaging.tiles import Box

Mask = NDArray[np.bool_]
any_mask = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40))


def maps_of(rows: int, cols: int, boxes: list[Box], grid: int = 5, smooth: bool = True) -> SliceMaps:
    tokens = np.random.default_rng(rows + cols).random((1 + len(boxes), grid, grid)).astype(np.float16)
    return SliceMaps(tokens, (MapLayer(grid, 35, smooth),), rows, cols, boxes)


@given(any_mask)
def test_coco_round_trip(mask: Mask) -> None:
    data, encoding = encode_mask(mask)
    assert encoding == COCO_RLE
    np.testing.assert_array_equal(decode_mask(data, encoding, *mask.shape), mask)


@given(st.integers(1, 300), st.integers(1, 300))
def test_an_empty_mask_is_that_of_no_pixel(rows: int, cols: int) -> None:
    assert empty_mask(rows, cols) == encode_mask(np.zeros((rows, cols), np.bool_))


def test_a_large_empty_mask_is_that_of_no_pixel() -> None:
    assert empty_mask(4100, 4099) == encode_mask(np.zeros((4100, 4099), np.bool_))


@given(any_mask)
def test_run_lengths_are_those_of_coco(mask: Mask) -> None:
    assert encode_mask(mask)[0] == coco.encode(np.asfortranarray(mask, np.uint8))["counts"]


@given(any_mask)
def test_packed_bits_round_trip(mask: Mask) -> None:
    data = zstandard.compress(np.packbits(mask, axis=1).tobytes())
    np.testing.assert_array_equal(decode_mask(data, PACKBITS_ZSTD, *mask.shape), mask)


def test_large_masks_are_packed() -> None:
    mask = np.zeros((4100, 4099), np.bool_)
    mask[17:900, 33:2001] = True
    data, encoding = encode_mask(mask)
    assert encoding == PACKBITS_ZSTD
    np.testing.assert_array_equal(decode_mask(data, encoding, 4100, 4099), mask)


def test_other_tools_read_the_mask() -> None:
    mask = np.zeros((30, 50), np.bool_)
    mask[3:9, 10:31] = True
    data, _ = encode_mask(mask)
    code = {"counts": data, "size": [30, 50]}
    assert (coco.area(code), coco.toBbox(code).tolist()) == (6 * 21, [10, 3, 21, 6])


@pytest.mark.parametrize("shape", [(31, 50), (30, 60)])
def test_a_packed_mask_of_another_size_is_refused(shape: tuple[int, int]) -> None:
    data = zstandard.compress(np.packbits(np.ones((30, 50), np.bool_), axis=1).tobytes())
    with pytest.raises(ValueError, match="expected"):
        decode_mask(data, PACKBITS_ZSTD, *shape)


def test_an_unknown_encoding_is_named() -> None:
    with pytest.raises(ValueError, match="'png'"):
        decode_mask(b"", "png", 3, 3)


def test_the_map_is_upsampled_smoothed_and_resized() -> None:
    maps = maps_of(35, 35, [])
    upsampled = scipy.ndimage.map_coordinates(
        maps.token_maps[0].astype(np.float64),
        np.meshgrid(*[(np.arange(35) + 0.5) * 5 / 35 - 0.5] * 2, indexing="ij"),
        order=1,
        mode="nearest",
    )
    expected = scipy.ndimage.gaussian_filter(upsampled, 4, mode="reflect", truncate=4)
    np.testing.assert_allclose(maps.full(), expected, atol=1e-5)


def test_strips_are_the_whole() -> None:
    rows, cols = 2600, 4100
    boxes = [(0, 0, 2500, 1500), (1600, 0, 4100, 1500), (0, 1100, 2500, 2600), (1600, 1100, 4100, 2600)]
    maps = maps_of(rows, cols, boxes)
    assert rows > 2 * (STRIP_PIXELS // cols), "the slice must not fit into two strips"
    total, weight = np.zeros((2, rows, cols), np.float32)
    for tokens, (left, top, right, bottom) in zip(maps.token_maps[1:], boxes, strict=True):
        total[top:bottom, left:right] += full_map(tokens, 35, (bottom - top, right - left))
        weight[top:bottom, left:right] += 1
    expected = np.maximum(full_map(maps.token_maps[0], 35, (rows, cols)), total / weight)
    np.testing.assert_allclose(maps.full(), expected, atol=1e-6)


@given(st.integers(1, 80), st.integers(1, 80), st.booleans(), st.booleans(), st.floats(0.05, 0.95))
def test_a_measure_is_that_of_its_map(
    rows: int, cols: int, tiled: bool, smooth: bool, threshold: float
) -> None:
    boxes = [(0, 0, cols, rows), (cols // 2, rows // 3, cols, rows)] if tiled else []
    maps = maps_of(rows, cols, boxes, smooth=smooth)
    whole, row = maps.full(), measure(maps, threshold)
    assert whole.shape == (rows, cols)
    assert whole.min() >= 0
    assert whole.max() <= 1 + 1e-6
    np.testing.assert_array_equal(decode_mask(row.mask, row.mask_encoding, rows, cols), whole >= threshold)
    assert row.map_max == pytest.approx(whole.max())
    assert row.map_mean == pytest.approx(whole.mean(), abs=1e-5)
    assert row.area_fraction == pytest.approx((whole >= threshold).mean())


LAYERS = (
    (MapLayer(5, 35),),
    (MapLayer(5, 35, smooth=False, corners=True, weight=0.25),),
    (MapLayer(5, 35, smooth=False, corners=True, logit=True),),
    (MapLayer(5, 35, weight=0.5), MapLayer(3, 24, logit=True, weight=0.5)),
)


@given(
    st.sampled_from(LAYERS), st.integers(1, 60), st.integers(1, 60), st.booleans(), st.floats(0.05, 0.95),
    st.integers(0, 99),
)  # fmt: skip
def test_strips_that_are_left_out_hold_nothing(
    layers: tuple[MapLayer, ...], rows: int, cols: int, tiled: bool, threshold: float, seed: int
) -> None:
    boxes = [(0, 0, cols, rows), (cols // 2, rows // 3, cols, rows)] if tiled else []
    random = np.random.default_rng(seed)
    tokens = random.random((1 + len(boxes), token_count(layers))) ** 8  # a few stand out
    maps = SliceMaps(tokens.astype(np.float16), layers, rows, cols, boxes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masks, "STRIP_PIXELS", 100)
        for strip in maps.strips():
            assert maps.part(strip).max() <= strip.bound
        whole, row = maps.full(), measure(maps, threshold)
    np.testing.assert_array_equal(decode_mask(row.mask, row.mask_encoding, rows, cols), whole >= threshold)
    assert row.map_max == whole.max()
    assert row.map_mean == pytest.approx(whole.mean(), abs=1e-5)
    assert row.area_fraction == pytest.approx((whole >= threshold).mean())


def test_only_strips_near_what_stands_out_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.full((1, 37, 37), 0.1, np.float16)
    tokens[0, 3:5, 20] = 0.9
    maps = SliceMaps(tokens, (MapLayer(37, 518),), 4000, 3000, [])
    made: list[int] = []
    part = SliceMaps.part
    monkeypatch.setattr(SliceMaps, "part", lambda self, strip: made.append(strip.top) or part(self, strip))
    row = measure(maps, 0.5)
    assert row.area_fraction > 0
    assert len(made) < len(maps.strips()) / 3


@pytest.mark.parametrize(("threshold", "area"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_extremes_of_the_threshold(threshold: float, area: float) -> None:
    row = measure(maps_of(20, 30, []), threshold)
    assert row.area_fraction == area
    assert decode_mask(row.mask, row.mask_encoding, 20, 30).mean() == area


def test_large_slices_are_packed_and_agree_with_their_map() -> None:
    maps = maps_of(4100, 4100, [])
    row = measure(maps, 0.5)
    assert row.mask_encoding == PACKBITS_ZSTD
    mask = decode_mask(row.mask, row.mask_encoding, 4100, 4100)
    assert row.area_fraction == pytest.approx(mask.mean())
    np.testing.assert_array_equal(mask, maps.full() >= 0.5)


def test_tiles_are_averaged_where_they_overlap_and_the_larger_counts() -> None:
    boxes = [(0, 0, 60, 40), (40, 0, 100, 40)]
    tokens = np.stack([np.full((5, 5), level, np.float16) for level in (0.25, 0.5, 0.125)])
    full = SliceMaps(tokens, (MapLayer(5, 35),), 40, 100, boxes).full()
    np.testing.assert_allclose(full[:, :40], 0.5, atol=1e-6)
    np.testing.assert_allclose(full[:, 40:60], (0.5 + 0.125) / 2, atol=1e-6)
    np.testing.assert_allclose(full[:, 60:], 0.25, atol=1e-6)  # the whole slice's map is larger here
