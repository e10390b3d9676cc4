"""The distribution of many scores in little memory: the highest exactly, the others as quantiles.

What is rounded is rounded up, so that a count of scores at least as high as another is never too low and a
p-value made of it never too small.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT = 10_000
"""Highest values that are kept as they are."""
POINTS = 4_096
"""Values that stand for all others; each stands for as many, so a count is off by at most n / POINTS."""

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """n scores. top: the highest EXACT of them, float32, ascending.

    body: values of the others, ascending; weights: how many each stands for, all of them at most as high.
    """

    n: int
    top: Scores
    body: Scores
    weights: NDArray[np.int64]

    @property
    def is_sound(self) -> bool:
        """Whether this may be a sketch of ours, and no file that somebody else wrote or damaged."""
        ascending = all(bool((one[1:] >= one[:-1]).all()) for one in (self.top, self.body))
        finite = bool(np.isfinite(self.top).all() and np.isfinite(self.body).all())
        sizes = len(self.top) <= EXACT and len(self.body) == len(self.weights) <= POINTS
        highest = not len(self.body) or (len(self.top) == EXACT and self.body[-1] <= self.top[0])
        counted = bool((self.weights > 0).all()) and self.n == len(self.top) + int(self.weights.sum())
        return ascending and finite and sizes and bool(highest) and counted

    def at_least(self, scores: Scores) -> NDArray[np.int64]:
        """Return how many are at least as high as each score; below the top at most so many."""
        in_top = len(self.top) - np.searchsorted(self.top, scores, "left")
        above = np.append(np.cumsum(self.weights[::-1])[::-1], 0)
        return np.asarray(in_top + above[np.searchsorted(self.body, scores, "left")], np.int64)


def sketch_of(scores: Iterable[float] | Scores) -> Sketch:
    """Return the sketch of scores, which are no NaN."""
    values = np.sort(np.asarray(scores, np.float32))
    return _sketch(values, np.empty(0, np.float32), np.empty(0, np.int64))


def merged(sketches: Sequence[Sketch]) -> Sketch:
    """Return the sketch of all scores behind these.

    Merge many at once rather than one after another: each merge rounds up to n / POINTS more counts.
    """
    if len(sketches) == 1:
        return sketches[0]
    tops = np.sort(np.concatenate([np.empty(0, np.float32), *(one.top for one in sketches)]))
    bodies = np.concatenate([np.empty(0, np.float32), *(one.body for one in sketches)])
    weights = np.concatenate([np.empty(0, np.int64), *(one.weights for one in sketches)])
    return _sketch(tops, bodies, weights)


def _sketch(tops: Scores, bodies: Scores, weights: NDArray[np.int64]) -> Sketch:
    """Return a sketch of values, ascending, and of others, none above the highest EXACT of them."""
    spilled = tops[: max(0, len(tops) - EXACT)]
    values = np.concatenate([spilled, bodies])
    counts = np.concatenate([np.ones(len(spilled), np.int64), weights])
    order = np.argsort(values, kind="stable")
    body, kept = _rounded_up(values[order], counts[order])
    return Sketch(len(tops) + int(weights.sum()), tops[len(spilled) :], body, kept)


def _rounded_up(values: Scores, weights: NDArray[np.int64]) -> tuple[Scores, NDArray[np.int64]]:
    """Return at most POINTS of the values, each for itself and those between it and the one before."""
    if len(values) <= POINTS:
        return values, weights
    reached = np.cumsum(weights)
    bucket = (reached - 1) * POINTS // reached[-1]
    last = np.flatnonzero(np.append(bucket[1:] != bucket[:-1], True))
    return values[last], np.diff(reached[last], prepend=0)
