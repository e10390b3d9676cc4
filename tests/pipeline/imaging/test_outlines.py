"""Borders of masks: lines that hold exactly the mask, and sizes at which no region is lost."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from s2sw.pipeline.imaging.outlines import covered, outline_path

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def inside(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the pixels within the lines, by the even-odd rule (SVG 1.1, 11.3) along each row."""
    crossed = np.zeros((shape[0], shape[1] + 1), int)
    for x, y, length in re.findall(r"M(\d+) (\d+)v(\d+)", path):
        crossed[int(y) : int(y) + int(length), int(x)] += 1
    return np.cumsum(crossed, axis=1)[:, :-1] % 2 == 1


@given(MASKS)
def test_the_lines_hold_the_mask_and_nothing_else(mask: np.ndarray) -> None:
    path = outline_path(mask)
    np.testing.assert_array_equal(inside(path, mask.shape), mask)
    turned = re.sub(r"M(\d+) (\d+)h(\d+)", r"M\2 \1v\3", re.sub(r"M\d+ \d+v\d+", "", path))
    np.testing.assert_array_equal(inside(turned, mask.T.shape), mask.T)


def test_an_empty_mask_has_no_line_and_a_pixel_has_four() -> None:
    mask = np.zeros((5, 7), np.bool_)
    assert outline_path(mask) == ""
    mask[2, 3] = True
    assert outline_path(mask) == "M3 2v1M4 2v1M3 2h1M3 3h1"


@given(MASKS, st.integers(1, 12), st.integers(1, 12))
def test_a_smaller_mask_has_every_pixel_that_is_touched(mask: np.ndarray, rows: int, cols: int) -> None:
    rows, cols = min(rows, mask.shape[0]), min(cols, mask.shape[1])
    small = covered(mask, rows, cols)
    expected = np.zeros((rows, cols), np.bool_)
    tops = [place * mask.shape[0] // rows for place in range(rows + 1)]
    lefts = [place * mask.shape[1] // cols for place in range(cols + 1)]
    for row in range(rows):
        for col in range(cols):
            part = mask[tops[row] : tops[row + 1], lefts[col] : lefts[col + 1]]
            expected[row, col] = part.any()
    np.testing.assert_array_equal(small, expected)


@given(MASKS, st.integers(1, 3))
def test_a_larger_mask_repeats_its_pixels(mask: np.ndarray, times: int) -> None:
    rows, cols = mask.shape
    expected = mask.repeat(times, axis=0).repeat(times, axis=1)
    np.testing.assert_array_equal(covered(mask, rows * times, cols * times), expected)
