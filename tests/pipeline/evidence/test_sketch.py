"""Sketches of scores: counts are exact where they are high, and never too low."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s2sw.pipeline.evidence.sketch import EXACT, POINTS, merged, sketch_of

SCORES = arrays(np.float32, st.integers(0, 300), elements=st.floats(0, 1, width=32))


def counted(values: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return (values[None] >= scores[:, None]).sum(1)


@given(SCORES, SCORES)
def test_few_scores_are_counted_exactly(values: np.ndarray, asked: np.ndarray) -> None:
    assert np.array_equal(sketch_of(values).at_least(asked), counted(values, asked))


@given(st.lists(SCORES, max_size=5), SCORES)
def test_a_merged_sketch_is_that_of_all(parts: list[np.ndarray], asked: np.ndarray) -> None:
    together = np.concatenate([np.empty(0, np.float32), *parts])
    found = merged([sketch_of(part) for part in parts])
    assert found.n == len(together)
    assert np.array_equal(found.at_least(asked), counted(together, asked))


def test_many_scores_are_exact_at_the_top_and_never_too_low_below() -> None:
    values = np.random.default_rng(0).beta(2, 5, 400_000).astype(np.float32)
    nights = [sketch_of(part) for part in np.array_split(values, 200)]
    found = merged([merged(nights[:77]), merged(nights[77:])])
    assert (len(found.top), len(found.body), found.n) == (EXACT, POINTS, len(values))
    asked = np.quantile(values, [0, 0.2, 0.5, 0.9, 0.97, 0.976, 0.999, 1]).astype(np.float32)
    excess = found.at_least(asked) - counted(values, asked)
    assert (excess[-3:] == 0).all()
    assert (excess >= 0).all()
    assert excess.max() <= 3 * len(values) / POINTS  # a night's own rounding, and two merges


def test_equal_scores_count_as_at_least_as_high() -> None:
    found = sketch_of(np.full(EXACT * 3, 0.5, np.float32))
    assert found.at_least(np.float32([0.4, 0.5, 0.6])).tolist() == [EXACT * 3, EXACT * 3, 0]
