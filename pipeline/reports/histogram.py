"""Counts of scores in fine bins: millions of scores in constant memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 100_000
"""Fine bins over 0..1: percentiles are exact to 0.00001."""

STEPS = sorted(factor * 10**power for power in range(5) for factor in (1, 2, 5))
PERCENTILES = (50.0, 95.0, 99.0)


@dataclass(frozen=True)
class Binning:
    """Equal bars made of fine bins: first fine bin, fine bins of a bar, number of bars."""

    first: int
    step: int
    count: int

    def edges(self) -> list[float]:
        """Return the count + 1 edges of the bars, in 0..1."""
        return [(self.first + i * self.step) / BINS for i in range(self.count + 1)]


class ScoreHistogram:
    """Scores in 0..1, counted."""

    def __init__(self) -> None:
        self.total = 0
        self.highest = 0.0
        self._lowest = 1.0
        self._counts = np.zeros(BINS, np.int64)

    def add(self, scores: NDArray[np.floating[Any]]) -> None:
        """Count scores, float (N,) in 0..1."""
        if not len(scores):
            return
        self.total += len(scores)
        self.highest = max(self.highest, float(scores.max()))
        self._lowest = min(self._lowest, float(scores.min()))
        bins = np.clip(scores.astype(np.float64) * BINS, 0, BINS - 1).astype(np.int64)
        self._counts += np.bincount(bins, minlength=BINS)

    def percentile(self, percent: float) -> float:
        """Return the smallest score that at least so many percent do not exceed, to 1 / BINS.

        Raises ValueError without scores.
        """
        if not self.total:
            raise ValueError("no scores were counted")
        rank = max(1, int(np.ceil(percent / 100 * self.total)))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        return min(max((place + 0.5) / BINS, self._lowest), self.highest)

    def markers(self) -> list[tuple[str, float]]:
        """Return the named percentiles and the maximum; [] without scores."""
        if not self.total:
            return []
        named = [(f"p{percent:g}", self.percentile(percent)) for percent in PERCENTILES]
        return [*named, ("max", self.highest)]

    def binning(self, bars: int) -> Binning:
        """Return at most so many bars (50 or more) of a round width that cover all scores."""
        used = np.flatnonzero(self._counts)
        low, high = (int(used[0]), int(used[-1])) if len(used) else (0, BINS - 1)
        step = next(step for step in STEPS if high // step - low // step < bars)
        return Binning(low // step * step, step, high // step - low // step + 1)

    def bars(self, binning: Binning) -> list[int]:
        """Return the counts of the bars."""
        end = binning.first + binning.step * binning.count
        inside = self._counts[binning.first : end].reshape(binning.count, binning.step)
        return [int(count) for count in inside.sum(axis=1)]
