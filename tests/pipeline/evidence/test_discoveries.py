"""False discovery rates: as by hand, and kept on generated archives with known anomalies."""

import numpy as np
import pytest

from s2sw.pipeline.evidence.discoveries import null_share, q_values
from s2sw.pipeline.evidence.references import Past, Scored, p_values


def test_q_values_are_those_of_benjamini_and_hochberg_times_the_null_share() -> None:
    p = np.array([0.001, 0.04, 0.02, 0.3, 0.2])
    assert null_share(p) == pytest.approx(1 / 2.5)
    assert q_values(p) == pytest.approx(np.array([0.005, 0.04 * 5 / 3, 0.05, 0.3, 0.25]) / 2.5)


def test_what_is_unknown_stays_so_and_counts_for_nobody() -> None:
    found = q_values(np.array([np.nan, 0.001, np.nan]))
    assert np.isnan(found[[0, 2]]).all()
    assert found[1] == pytest.approx(q_values(np.array([0.001]))[0])
    assert np.isnan(q_values(np.full(3, np.nan))).all()
    assert null_share(np.array([])) == 1


def archive(rng: np.random.Generator, count: int, share: float) -> tuple[Scored, np.ndarray]:
    """Return the scores of a night, and which of them are anomalies."""
    anomalous = rng.random(count) < share
    scores = rng.normal(np.where(anomalous, 3.0, 0.0), 1)
    return Scored(np.full(count, "a", object), np.ones(count, int), scores.astype(np.float32)), anomalous


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_a_list_holds_no_more_false_alarms_than_it_says(share: float) -> None:
    rng, q, found, power = np.random.default_rng(3), 0.1, [], []
    for _ in range(60):
        past = Past()
        past.add(archive(rng, 5000, 0.0)[0])
        night, anomalous = archive(rng, 1000, share)
        chosen = q_values(p_values(night, past).p) <= q
        found.append((chosen & ~anomalous).sum() / max(1, chosen.sum()))
        power.append((chosen & anomalous).sum() / max(1, anomalous.sum()))
    assert np.mean(found) <= q + 2 * np.std(found) / np.sqrt(len(found))
    assert np.mean(power) > (0.2 if share == 0.01 else 0.5)  # and it is no empty list
