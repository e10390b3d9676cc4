"""Histograms of a group's measure over nights, so that a change is seen as it came."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from s2sw.pipeline.evidence.drift import LEFT_OUT, MEASURES, REFERENCE, Change, by_day
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.layout import day_of

BINS = 24
SHOWN = 4
"""Changes whose histograms are made."""


@dataclass(frozen=True)
class Nights:
    """Of what changed: days, the edges of bins, and for each day the share of its objects in each bin."""

    change: Change
    days: tuple[date, ...]
    edges: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]


def histograms(results: Results, run_id: str, changes: Sequence[Change]) -> Iterator[Nights]:
    """Yield the histograms of what moved, over the days that it was compared with and those since."""
    night = day_of(run_id)
    if night is None:
        return
    first = f"{night - timedelta(days=LEFT_OUT + REFERENCE):%Y%m%d}"
    moved = [change for change in changes if change.moved and change.measure in MEASURES][:SHOWN]
    for change in moved:
        found = by_day(results, change.group, first, run_id)
        numbers = found[change.measure].to_numpy(zero_copy_only=False).astype(np.float64)
        days = found["day"].to_numpy(zero_copy_only=False).astype(str)
        known = np.isfinite(numbers)
        yield _nights(change, days[known], numbers[known])


def _nights(change: Change, days: NDArray[np.str_], numbers: NDArray[np.float64]) -> Nights:
    # the outermost hundredths would flatten all others
    low, high = np.quantile(numbers, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    names = np.unique(days)
    shares = []
    for name in names:
        counts, _ = np.histogram(np.clip(numbers[days == name], low, high), edges)
        shares.append(tuple((counts / max(1, counts.sum())).tolist()))
    dates = tuple(date(int(n[:4]), int(n[4:6]), int(n[6:])) for n in names.tolist())
    return Nights(change, dates, tuple(edges.tolist()), tuple(shares))
