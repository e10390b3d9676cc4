"""Tiles cover the slice, stay within their number, and are resampled like the whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s2sw.pipeline.imaging.tiles import boxes_of, tile_boxes, views
from s2sw.schemas.config import TileSettings
from tests.support.archives import texture


def settings(size: int, overlap: int = 0, most: int = 64) -> TileSettings:
    return TileSettings(size=size, overlap=overlap, max_tiles=most)


@pytest.mark.parametrize("side", [1, 99, 100])
def test_a_slice_of_one_tile_has_none(side: int) -> None:
    assert tile_boxes(side, side, settings(100)) == []


def test_no_tiling_by_default() -> None:
    assert tile_boxes(5000, 5000, TileSettings()) == []


def test_an_exact_grid_in_row_order() -> None:
    assert tile_boxes(200, 300, settings(100)) == [
        (left, top, left + 100, top + 100) for top in (0, 100) for left in (0, 100, 200)
    ]


def test_overlap_is_at_least_the_configured_one() -> None:
    boxes = tile_boxes(100, 250, settings(100, overlap=30))
    lefts = sorted(box[0] for box in boxes)
    assert lefts[0] == 0
    assert lefts[-1] == 150
    assert all(b - a <= 70 for a, b in itertools.pairwise(lefts))


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 400), st.floats(0, 0.95), st.integers(1, 64))
def test_tiles_cover_the_slice_and_are_no_more_than_allowed(
    rows: int, cols: int, size: int, share: float, most: int
) -> None:
    boxes = tile_boxes(rows, cols, settings(size, int(size * share), most))
    assert len(boxes) <= most
    assert len(boxes) != 1
    if boxes:
        covered = np.zeros((rows, cols), np.bool_)
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= cols
            assert 0 <= top < bottom <= rows
            covered[top:bottom, left:right] = True
        assert covered.all()
        assert len({(right - left, bottom - top) for left, top, right, bottom in boxes}) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_the_whole_and_each_tile_resampled(channels: int) -> None:
    pixels = texture(60, 90, seed=1, channels=channels)
    boxes = tile_boxes(60, 90, settings(60))
    seen = list(views(pixels, 28, boxes))
    assert [v.shape for v in seen] == [(28, 28, 3)] * (1 + len(boxes))
    colour = Image.fromarray(pixels).convert("RGB")
    for view, box in zip(seen, [(0, 0, 90, 60), *boxes], strict=True):
        expected = np.asarray(colour.resize((28, 28), Image.Resampling.BICUBIC, box=box))
        np.testing.assert_array_equal(view, expected)
        # only at its edges does a tile know its neighbours
        alone = np.asarray(colour.crop(box).resize((28, 28), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(view[2:-2, 2:-2], alone[2:-2, 2:-2])


@given(st.lists(st.tuples(*[st.integers(0, 1 << 20)] * 4), max_size=5))
def test_boxes_come_back_from_the_flat_list(boxes: list[tuple[int, int, int, int]]) -> None:
    assert boxes_of([edge for box in boxes for edge in box]) == boxes
