"""p-values beside a past: uniform, corrected for length, and none where too little is known."""

import numpy as np
import pytest
from scipy.stats import kstest

from s2sw.pipeline.evidence.references import LEAST, SLICES, Past, Scored, length_class, p_values

RNG = np.random.default_rng(7)


def units(scores: np.ndarray, group: str = "a", length: int = 1) -> Scored:
    return Scored(
        np.full(len(scores), group, object), np.full(len(scores), length), scores.astype(np.float32)
    )


def past_of(*batches: Scored) -> Past:
    past = Past()
    for batch in batches:
        past.add(batch)
    return past


def volumes(count: int, length: int) -> np.ndarray:
    """Return the highest score of volumes whose slices resemble each other."""
    own = RNG.normal(size=(count, 1))
    return (own + RNG.normal(size=(count, length))).max(1)


def test_a_p_value_counts_how_many_are_at_least_as_high() -> None:
    found = p_values(units(np.array([0.5, 2.0, -1.0, 0.25])), past_of(units(np.linspace(0, 1, 101))))
    assert found.p == pytest.approx([52 / 102, 1 / 102, 1.0, 77 / 102])
    assert (found.size == 101).all()
    assert not found.first.any()


def test_without_a_past_each_is_compared_with_all_others_of_its_night() -> None:
    scores = RNG.permutation(np.arange(200) / 200)
    found = p_values(units(scores), Past())
    expected = [(1 + (np.delete(scores, i) >= score).sum()) / 200 for i, score in enumerate(scores)]
    assert found.p == pytest.approx(expected)
    assert found.first.all()
    assert (found.size == 199).all()


def test_groups_too_small_have_none() -> None:
    few = units(np.arange(LEAST - 1) / 100)
    assert np.isnan(p_values(few, Past()).p).all()
    mixed = p_values(few, past_of(units(np.ones(1000), "b")))
    assert np.isnan(mixed.p).all()
    assert not np.isnan(p_values(few, past_of(units(np.zeros(1)))).p).any()  # together they are enough


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (300, 8), (SLICES, SLICES)]
)
def test_lengths_are_alike_within_a_power_of_two(length: int, expected: int) -> None:
    assert length_class(np.array([length])).tolist() == [expected]


def test_long_objects_are_no_rarer_for_their_length() -> None:
    past = past_of(*(units(volumes(4000, n), length=n) for n in (1, 32)))
    for n in (1, 32):
        assert p_values(units(volumes(2000, n), length=n), past).p.mean() == pytest.approx(0.5, abs=0.03)
    alone = past_of(units(volumes(4000, 1), length=1))  # what an uncorrected value would say
    assert p_values(units(volumes(2000, 32), length=1), alone).p.mean() < 0.2


def test_where_few_are_of_like_length_longer_ones_make_it_too_large_and_not_too_small() -> None:
    past = past_of(units(volumes(10, 4), length=4), units(volumes(4000, 64), length=64))
    found = p_values(units(volumes(500, 4), length=4), past)
    assert (found.size == 4010).all()
    assert found.p.mean() > 0.55
    assert np.isnan(p_values(units(volumes(10, 200), length=200), past).p).all()  # and shorter ones never


def test_p_values_of_what_is_usual_are_uniform() -> None:
    past = past_of(units(RNG.beta(2, 8, 200_000)))
    found = p_values(units(RNG.beta(2, 8, 100_000)), past)
    assert kstest(found.p, "uniform").statistic < 0.01
    for level in (0.001, 0.01, 0.1):
        assert (found.p <= level).mean() <= level * 1.15


def test_a_million_earlier_ones_give_one_in_a_million() -> None:
    past = past_of(*(units(RNG.random(250_000)) for _ in range(4)))
    assert p_values(units(np.array([1.5])), past).p[0] == 1 / 1_000_001
