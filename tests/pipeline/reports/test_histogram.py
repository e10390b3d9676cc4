"""A histogram in constant memory agrees with all scores in memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from s2sw.pipeline.reports.histogram import BINS, ScoreHistogram

Scores = NDArray[np.float32]
any_scores = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 1, width=32))


def counted(*batches: Scores) -> ScoreHistogram:
    histogram = ScoreHistogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(any_scores, st.floats(0, 100))
def test_percentiles_are_those_of_the_scores(scores: Scores, percent: float) -> None:
    expected = np.percentile(scores, percent, method="inverted_cdf")
    assert counted(scores).percentile(percent) == pytest.approx(expected, abs=1 / BINS)


@given(any_scores, st.integers(0, 60))
def test_batches_add_up(scores: Scores, cut: int) -> None:
    whole, parts = counted(scores), counted(scores[:cut], scores[cut:])
    assert whole.markers() == parts.markers()
    binning = whole.binning(50)
    assert whole.bars(binning) == parts.bars(parts.binning(50))


@given(any_scores, st.integers(50, 80))
def test_bars_hold_every_score(scores: Scores, most: int) -> None:
    histogram = counted(scores)
    binning = histogram.binning(most)
    edges, bars = binning.edges(), histogram.bars(binning)
    assert sum(bars) == histogram.total == len(scores)
    assert len(bars) == len(edges) - 1 <= most
    assert bars[0] > 0
    assert bars[-1] > 0
    assert edges[0] <= scores.min() + 1 / BINS
    assert edges[-1] >= scores.max() - 1 / BINS


def test_close_scores_fill_the_chart() -> None:
    """The scores of an untrained detector lie close together."""
    scores = np.linspace(0.501, 0.509, 1000, dtype=np.float32)
    bars = counted(scores).bars(counted(scores).binning(50))
    assert len(bars) > 20


def test_the_maximum_is_exact() -> None:
    score = np.float32(0.123456789)
    assert counted(np.array([0.1, score], np.float32)).markers()[-1] == ("max", float(score))


def test_without_scores_there_are_no_percentiles() -> None:
    empty = counted(np.zeros(0, np.float32))
    assert empty.markers() == []
    with pytest.raises(ValueError, match="no scores"):
        empty.percentile(50)
