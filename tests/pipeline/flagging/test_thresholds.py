"""Thresholds: what they achieve is what counting says, and the intervals cover as often as they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from s2sw.pipeline.flagging.thresholds import (
    TooFewError,
    clopper_pearson,
    for_precision,
    for_rate,
    quantile_interval,
)

grid = st.integers(0, 60).map(lambda n: n / 60)  # with ties
decided = st.lists(st.tuples(grid, st.booleans()), min_size=20, max_size=80)


@given(decided, st.sampled_from([0.3, 0.5, 0.8]))
def test_a_precision_is_reached_at_the_threshold_and_at_no_lower_one(
    slices: list[tuple[float, bool]], target: float
) -> None:
    scores, anomalous = np.array([s for s, _ in slices]), np.array([a for _, a in slices])
    precisions = {cut: anomalous[scores >= cut].mean() for cut in np.unique(scores)}
    enough = [cut for cut, precision in precisions.items() if precision >= target]
    if not enough:
        with pytest.raises(TooFewError, match="no threshold reaches it"):
            for_precision(scores, anomalous, target)
        return
    found = for_precision(scores, anomalous, target)
    flagged = scores >= found.threshold
    assert (flagged == (scores >= min(enough))).all()
    assert found.achieved == pytest.approx(anomalous[flagged].mean())
    assert found.sample == flagged.sum()
    assert found.interval[0] <= found.achieved <= found.interval[1]


@given(st.lists(grid, min_size=30, max_size=90), st.sampled_from([0.1, 0.2, 0.4]))
def test_a_rate_is_kept_at_the_threshold_and_at_no_lower_one(values: list[float], target: float) -> None:
    scores = np.array(values)
    kept = [cut for cut in np.unique(scores) if (scores >= cut).mean() <= target]
    if not kept:
        with pytest.raises(TooFewError, match="too many slices have the highest score"):
            for_rate(scores, target)
        return
    found = for_rate(scores, target)
    assert ((scores >= found.threshold) == (scores >= min(kept))).all()
    assert found.achieved == (scores >= min(kept)).mean()
    assert found.threshold_interval is not None
    low, high = found.threshold_interval
    assert 0 <= low <= high <= 1


def test_thresholds_are_written_with_few_decimals_and_flag_the_same_slices() -> None:
    scores = np.float32([0.1234567, 0.12345671, 0.4321987]).astype(np.float64).repeat(20)
    found = for_precision(scores, scores > 0.4, 1.0)
    assert found.threshold == 0.4321
    close = for_precision(scores, scores > 0.1234567, 1.0)
    assert (scores >= close.threshold).sum() == (scores > 0.1234567).sum()


def test_too_little_to_go_by_is_said() -> None:
    with pytest.raises(TooFewError, match="19 slices are decided; 20 or more are needed"):
        for_precision(np.ones(19), np.ones(19, np.bool_), 0.5)
    with pytest.raises(TooFewError, match="only 299 normal slices; 300 or more are needed"):
        for_rate(np.linspace(0, 1, 299), 0.01)


@given(st.integers(1, 200), st.data())
def test_the_interval_of_a_share_is_scipys_exact_one(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    expected = binomtest(successes, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_of_a_quantile_covers_it_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        low, high = quantile_interval(rng.random(400), 0.95)
        covered += low <= 0.95 <= high
    assert covered >= 935  # 95 % of 1000, less three standard errors of 6.9
