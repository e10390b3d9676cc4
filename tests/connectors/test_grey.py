"""Grey values: tables and samples agree, percentiles are those of numpy, nothing escapes 0..255."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from s2sw.connectors import grey
from s2sw.connectors.grey import histogram, linear, percentile_range, render, stretch
from s2sw.schemas.outcomes import Reason, ScreeningError

FRAMES = npst.arrays(
    st.sampled_from(
        [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64]
    ),
    npst.array_shapes(min_dims=2, max_dims=2, max_side=12),
)


@given(FRAMES)
def test_any_frame_becomes_eight_bits_or_is_not_finite(frame: np.ndarray[Any, Any]) -> None:
    if not np.isfinite(frame).any():
        with pytest.raises(ScreeningError, match=Reason.NOT_FINITE):
            stretch(frame, (0.5, 99.5))
        return
    pixels = stretch(frame, (0.5, 99.5))
    assert pixels.dtype == np.uint8
    assert pixels.shape == frame.shape


@given(npst.arrays(np.int16, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_table_gives_what_sample_by_sample_gives(frame: np.ndarray[Any, Any]) -> None:
    low, high = float(frame.min()), float(frame.max())
    through_table = render(frame, lambda values: linear(values, low, high))
    assert np.array_equal(through_table, linear(frame.astype(np.float64), low, high))
    assert np.array_equal(
        render(np.asfortranarray(frame), lambda values: linear(values, low, high)), through_table
    )


@given(npst.arrays(np.int16, st.integers(1, 200)), st.floats(0, 49), st.floats(51, 100))
def test_percentiles_are_those_of_numpy(samples: np.ndarray[Any, Any], low: float, high: float) -> None:
    wanted = np.percentile(samples.astype(float), (low, high), method="inverted_cdf")
    found = percentile_range(*histogram(samples[None]), (low, high))
    if wanted[0] == wanted[1]:
        assert found == (samples.min(), samples.max())
    else:
        assert found == tuple(wanted)


def test_order_is_kept_across_the_largest_range_a_float_has() -> None:
    values = np.array([-1.7e308, 0, 1.7e308])
    assert linear(values, -1.7e308, 1.7e308).tolist() == [0, 128, 255]


def test_a_flat_frame_is_black() -> None:
    assert not stretch(np.full((3, 3), 7, np.int16), (0.5, 99.5)).any()


def test_many_samples_are_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grey, "SAMPLES", 1000)
    columns = np.broadcast_to(np.linspace(0, 1, 64), (512, 64))
    levels, counts = histogram(np.ascontiguousarray(columns))
    assert len(levels) == 64  # a stride of 32 would see two columns only
    assert counts.max() - counts.min() <= 1
