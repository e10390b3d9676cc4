"""What the page is told of a slice at its own depth: types that browsers have, bounds, finite numbers."""

import json

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from s2sw.connectors.slices import Original, Slice
from s2sw.pipeline.review import deep
from s2sw.pipeline.review.deep import COLOURS, TOO_LARGE, deep_of, facts

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))
VALUES = st.one_of(
    hnp.arrays(np.int16, SHAPES),
    hnp.arrays(np.uint32, SHAPES),
    hnp.arrays(np.float64, SHAPES, elements=st.floats(allow_nan=True, allow_infinity=True)),
)


def grey(values: NDArray[np.generic], slope: float = 1.0, intercept: float = 0.0) -> Slice:
    original = Original(values, slope, intercept, "HU")
    return Slice(np.zeros(values.shape, np.uint8), "image", original=original)


@given(VALUES, st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_whatever_a_file_holds_the_page_gets_numbers(
    values: NDArray[np.generic], slope: float, intercept: float
) -> None:
    found = deep_of(grey(values, slope, intercept), 512)
    assert found.values is not None
    assert found.values.dtype.str in {"|u1", "<i2", "<u2", "<f4"}
    if values.dtype == np.int16:
        np.testing.assert_array_equal(found.values, values)
    told = facts(found)
    json.dumps(told["values"], allow_nan=False)


def test_a_slice_too_large_to_be_sent_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "MOST_PIXELS", 16)
    assert deep_of(grey(np.zeros((4, 4), np.int16)), 512).values is not None
    found = deep_of(grey(np.zeros((4, 5), np.int16)), 2)
    assert (found.values, found.full, found.why) == (None, None, TOO_LARGE)


def test_colours_have_no_window() -> None:
    found = deep_of(Slice(np.zeros((4, 5, 3), np.uint8), "image"), 512)
    assert (found.values, found.why) == (None, COLOURS)
