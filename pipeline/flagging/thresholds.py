"""Proposing a flagging threshold on the image score, with what it is known to achieve and how surely.

Intervals are exact, two-sided, of 95 %: Clopper and Pearson's (Biometrika 26, 1934) for a share, order
statistics (David and Nagaraja, Order Statistics, section 7.1) for a quantile. Both take slices as
independent; slices of one volume are not, so that over volumes the truth is wider.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

CONFIDENCE = 0.95
FEWEST_DECISIONS = 20
Interval = tuple[float, float]


class TooFewError(ValueError):
    """There is too little to propose a threshold from; the message says how much would do."""


@dataclass(frozen=True)
class Proposal:
    """A threshold: slices with an image score of at least so much would be flagged.

    achieved: the share that it was chosen for, of the sample, with its interval: precision (anomalies among
    flagged) or rate (flagged among normal). sample: slices behind it. threshold_interval: where the threshold
    of a sample without end may lie; None where precision was asked for.
    """

    threshold: float
    achieved: float
    interval: Interval
    sample: int
    threshold_interval: Interval | None = None


def for_precision(scores: NDArray[np.float64], anomalous: NDArray[np.bool_], target: float) -> Proposal:
    """Return the lowest threshold at which the share of anomalies among flagged slices reaches the target.

    scores: (n,) image scores of decided slices; anomalous: (n,) whether each was accepted as an anomaly.
    Below the lowest decided score nothing is known, so no threshold lies there. Raises TooFewError.
    """
    if len(scores) < FEWEST_DECISIONS:
        raise TooFewError(f"{len(scores)} slices are decided; {FEWEST_DECISIONS} or more are needed")
    cuts, flagged, hits = _cumulated(scores, anomalous)
    reached = np.flatnonzero(hits >= target * flagged - 1e-9)
    if not len(reached):
        best = int((hits / flagged).argmax())
        raise TooFewError(f"no threshold reaches it: the best precision is {hits[best] / flagged[best]:.3f}")
    place = int(reached[-1])
    k, n = int(hits[place]), int(flagged[place])
    return Proposal(_written(cuts, place), k / n, clopper_pearson(k, n), n)


def for_rate(scores: NDArray[np.float64], target: float) -> Proposal:
    """Return the lowest threshold that flags at most the target share of slices taken as normal.

    scores: (n,) their image scores. Raises TooFewError: with fewer than 3 / target of them even a sample that
    is not flagged at all would not show the rate (rule of three).
    """
    needed = int(np.ceil(3 / target))
    if len(scores) < needed:
        raise TooFewError(f"only {len(scores)} normal slices; {needed} or more are needed")
    cuts, flagged, _ = _cumulated(scores, np.zeros(len(scores), np.bool_))
    kept = np.flatnonzero(flagged <= target * len(scores) + 1e-9)
    if not len(kept):
        raise TooFewError(f"too many slices have the highest score, {cuts[0]:.4f}")
    place = int(kept[-1])
    k, n = int(flagged[place]), len(scores)
    quantile = quantile_interval(scores, 1 - target)
    return Proposal(_written(cuts, place), k / n, clopper_pearson(k, n), n, quantile)


def clopper_pearson(successes: int, trials: int) -> Interval:
    """Return the exact interval of a share."""
    found = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def quantile_interval(scores: NDArray[np.float64], share: float) -> Interval:
    """Return the interval between two order statistics that covers the quantile; 0 or 1 where none does."""
    tail, n = (1 - CONFIDENCE) / 2, len(scores)
    ordered = np.sort(scores)
    low, high = int(binom.ppf(tail, n, share)), int(binom.ppf(1 - tail, n, share)) + 1
    return float(ordered[low - 1]) if low >= 1 else 0.0, float(ordered[high - 1]) if high <= n else 1.0


def _cumulated(
    scores: NDArray[np.float64], marked: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct scores, highest first, and how many slices, and marked ones, reach each."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    counts = np.arange(1, len(scores) + 1)
    return ordered[last], counts[last], np.cumsum(marked[order])[last]


def _written(cuts: NDArray[np.float64], place: int) -> float:
    """Return a cut as it is written down: few decimals, and the same slices at or above it as float32."""
    score, lower = float(cuts[place]), float(cuts[place + 1]) if place + 1 < len(cuts) else -1.0
    for decimals in range(4, 17):
        shorter: float = math.floor(score * 10.0**decimals) / 10.0**decimals
        if np.float32(lower) < np.float32(shorter) <= np.float32(score):
            return shorter
    return score
