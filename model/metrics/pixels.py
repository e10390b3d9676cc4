"""Metrics over pixels, exact for hundreds of millions of them in bounded memory.

Pixels are sorted by the bits of their float32 scores in runs that go to a file when they become many. The
runs are then read together from high scores to low ones, a block of bounded size at a time.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.model.metrics.ranking import Counts, Numbers, Ranker, Ranking, Tally
from s2sw.model.metrics.regions import region_areas
from s2sw.model.metrics.runs import SortedRuns, Values

IN_MEMORY = 1 << 24
"""Pixels held in memory, at 4 bytes; beyond them the file grows by 4 bytes a pixel, 8 an anomalous one."""
STRIDE = 1 << 16
PIECES = 16  # samples in a block: blocks have about STRIDE * (PIECES + runs) pixels
TOP = np.uint32(1 << 31)
KEYS = 1 << 32


def sort_keys(scores: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return uint32 keys in the order of finite float32 scores; both zeros have one key."""
    bits = (scores + np.float32(0)).view(np.uint32)
    return np.where(bits & TOP, ~bits, bits | TOP)


def scores_of(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Return the scores of sort keys."""
    return np.where(keys & TOP, keys ^ TOP, ~keys).view(np.float32)


class PixelMetrics:
    """Pixel AUROC, AP, F1-max and AUPRO over pictures that are added one after another."""

    def __init__(self, in_memory: int = IN_MEMORY, folder: Path | None = None) -> None:
        """in_memory: pixels held in memory. folder: where the temporary file goes beyond them."""
        self._normal = SortedRuns(np.uint32, in_memory, STRIDE, folder)
        self._anomalous = SortedRuns(np.uint64, max(1, in_memory // 2), STRIDE, folder)
        self._totals = [0, 0]
        self._regions = 0

    def add(self, scores: NDArray[np.floating[Any]], mask: NDArray[np.bool_]) -> None:
        """Count one picture's map, float (rows, cols), against its mask, bool (rows, cols).

        Raises ValueError for different shapes and for scores that are not finite.
        """
        if scores.shape != mask.shape or scores.ndim != 2:
            raise ValueError(f"the map is {scores.shape} and the mask {mask.shape}; (rows, cols) is needed")
        if not np.isfinite(scores).all():
            raise ValueError(f"the map has {int((~np.isfinite(scores)).sum())} pixels that are not finite")
        keys = sort_keys(np.ascontiguousarray(scores, dtype=np.float32))
        areas, regions = region_areas(mask)
        self._normal.add(keys[~mask])
        self._anomalous.add(keys[mask].astype(np.uint64) << np.uint64(32) | areas)
        self._totals = [self._totals[0] + mask.size - len(areas), self._totals[1] + len(areas)]
        self._regions += regions

    def compute(self) -> Ranking:
        """Return the metrics of all pictures and let the temporary file go; to be called once."""
        ranker = Ranker(self._totals[0], self._totals[1], self._regions)
        try:
            for runs in (self._normal, self._anomalous):
                runs.finish()
            for low, high in self._blocks():
                ranker.add(self._tally(low, high))
        finally:
            for runs in (self._normal, self._anomalous):
                runs.close()
        return ranker.result()

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of keys, low <= key < high, from the highest to the lowest, of bounded content.

        A key that alone fills a block gets a range of its own, which is counted without being held.
        """
        anomalous = (self._anomalous.samples() >> np.uint64(32)).astype(np.uint32)
        samples = np.sort(np.concatenate([self._normal.samples(), anomalous]))
        edges = {0, KEYS, *(int(key) for key in samples[::PIECES])}
        crowded = samples[1:][samples[1:] == samples[:-1]]
        edges |= {int(key) + step for key in np.unique(crowded) for step in (0, 1)}
        for high, low in itertools.pairwise(sorted(edges, reverse=True)):
            yield low, high

    def _tally(self, low: int, high: int) -> Tally:
        normal = _merged([_counted(run) for run in self._normal.between(low, high)])
        found = self._anomalous.between(low << 32, high << 32)
        anomalous = _merged([_weighed(run) for run in found])
        joined = np.sort(np.concatenate([normal[0], anomalous[0]]))  # np.union1d hashes: ten times slower
        keys = joined[_starts(joined)]

        def spread(own: NDArray[np.uint32], values: NDArray[Any]) -> NDArray[Any]:
            column = np.zeros(len(keys), values.dtype)
            column[np.searchsorted(keys, own)] = values
            return column[::-1]

        return Tally(
            scores_of(keys)[::-1],
            spread(normal[0], normal[1]),
            spread(anomalous[0], anomalous[1]),
            spread(anomalous[0], anomalous[2]),
        )


Distinct = tuple[NDArray[np.uint32], Counts, Numbers]
"""Rising keys, how many pixels have each, and the sum over them of one over the area of their region."""


def _counted(run: Values) -> Distinct:
    starts = _starts(run)
    return run[starts].astype(np.uint32), np.diff(starts, append=len(run)), np.zeros(len(starts))


def _weighed(run: Values) -> Distinct:
    keys = (run >> np.uint64(32)).astype(np.uint32)
    starts = _starts(keys)
    overlap = np.add.reduceat(1 / (run & np.uint64(KEYS - 1)), starts)
    return keys[starts], np.diff(starts, append=len(run)), overlap


def _starts(run: Values) -> Counts:
    """Return where each distinct number begins in a sorted run."""
    return np.flatnonzero(np.concatenate([[True], run[1:] != run[:-1]])[: len(run)])


def _merged(parts: list[Distinct]) -> Distinct:
    """Merge the distinct keys of several runs."""
    if not parts:
        return np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0)
    if len(parts) == 1:
        return parts[0]
    keys, counts, overlap = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = _starts(keys)
    return keys[starts], np.add.reduceat(counts[order], starts), np.add.reduceat(overlap[order], starts)
