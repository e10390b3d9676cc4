"""Grey values of any depth to 8 bits: histograms, percentiles, linear ranges, look-up tables."""

from collections.abc import Callable
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.schemas.outcomes import Reason, ScreeningError

Frame = NDArray[Any]
"""Samples as stored, of any integer or float type."""
Levels = NDArray[np.float64]
Grey = NDArray[np.uint8]
Transfer = Callable[[Levels], Grey]
"""Maps grey values (any shape, float64) to 0..255; applied to a table of levels or to a frame."""

TABLE_LEVELS = 1 << 17
"""Integer frames that span fewer levels are mapped through a table, others sample by sample."""
CHUNK = 1 << 20
SAMPLES = 1 << 22
"""At most so many samples of a frame without a table decide its percentiles, evenly spaced."""


def span(frame: Frame) -> tuple[int, int] | None:
    """Return (lowest, highest) of an integer frame that fits a table, None for all others."""
    if frame.dtype.kind not in "iub" or frame.size == 0:
        return None
    if frame.dtype.itemsize == 1:
        info = np.iinfo(frame.dtype) if frame.dtype.kind != "b" else np.iinfo(np.uint8)
        return int(info.min), int(info.max)
    low, high = int(frame.min()), int(frame.max())
    return (low, high) if high - low < TABLE_LEVELS else None


def histogram(frame: Frame, keep: NDArray[np.bool_] | None = None) -> tuple[Levels, NDArray[np.int64]]:
    """Return the levels that occur in a frame, ascending, and how often; non-finite samples are left out.

    Exact for integers that fit a table; of other frames at most ``SAMPLES`` samples are counted.
    """
    samples = frame.reshape(-1) if keep is None else frame[keep]
    limits = span(samples)
    if limits is not None:
        counts = _count(samples, limits)
        occurring = np.flatnonzero(counts)
        return (occurring + limits[0]).astype(np.float64), counts[occurring]
    values = as_levels(samples[:: stride(samples.size, frame.shape[-1])])
    levels, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    return levels, counts.astype(np.int64)


def as_levels(samples: Frame) -> Levels:
    """Return samples as float64; signalling NaNs, which come with damaged files, need no warning."""
    with np.errstate(invalid="ignore"):
        return samples.astype(np.float64)


def _count(samples: Frame, limits: tuple[int, int]) -> NDArray[np.int64]:
    counts = np.zeros(limits[1] - limits[0] + 1, dtype=np.int64)
    for start in range(0, samples.size, CHUNK):
        part = samples[start : start + CHUNK].astype(np.int64)
        counts += np.bincount(part - limits[0], minlength=counts.size)
    return counts


def percentile_range(
    levels: Levels, counts: NDArray[np.int64], percentiles: tuple[float, float]
) -> tuple[float, float]:
    """Return the levels at two percentiles: the lowest level with at least that share at or below it.

    Where both are one level (more than 99 % of the frame is background) the whole range is returned.
    Raises NOT_FINITE if there is no level at all.
    """
    if levels.size == 0:
        raise ScreeningError(Reason.NOT_FINITE, "no finite sample outside the padding")
    order = np.argsort(levels, kind="stable")
    levels, cumulative = levels[order], np.cumsum(counts[order])
    ranks = np.asarray(percentiles) / 100 * cumulative[-1]
    low, high = levels[np.minimum(np.searchsorted(cumulative, ranks), levels.size - 1)]
    if low == high:
        low, high = levels[0], levels[-1]
    return float(low), float(high)


def linear(values: Levels, low: float, high: float) -> Grey:
    """Map [low, high] to 0..255, rounding to nearest; below and non-finite to 0, above to 255."""
    if not high > low:
        return np.zeros(values.shape, dtype=np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - low) * (255.0 / (high - low)) if np.isfinite(high - low) else (
            values / high - low / high) * (255.0 / (1 - low / high))  # fmt: skip
    scaled = np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)


def render(frame: Frame, transfer: Transfer) -> Grey:
    """Apply a transfer to a frame of any shape: through a table where the levels allow, else in chunks."""
    if frame.ndim == 2 and frame.flags.f_contiguous and not frame.flags.c_contiguous:
        return render(frame.T, transfer).T  # numpy is slow where index and output differ in order
    limits = span(frame)
    if limits is not None:
        table = transfer(np.arange(limits[0], limits[1] + 1, dtype=np.float64))
        return _look_up(frame, table, limits[0])
    flat = frame.reshape(-1)
    out = np.empty(flat.size, dtype=np.uint8)
    for start in range(0, flat.size, CHUNK):
        out[start : start + CHUNK] = transfer(as_levels(flat[start : start + CHUNK]))
    return out.reshape(frame.shape)


def _look_up(frame: Frame, table: Grey, low: int) -> Grey:
    out = np.empty(frame.shape, dtype=np.uint8)
    rows = max(1, CHUNK // max(1, frame[0].size))
    for start in range(0, frame.shape[0], rows):
        index = frame[start : start + rows].astype(np.intp)
        index -= low
        np.take(table, index, out=out[start : start + rows], mode="clip")
    return out


def stretch(frame: Frame, percentiles: tuple[float, float], keep: NDArray[np.bool_] | None = None) -> Grey:
    """Return a frame as 8 bits, two percentiles (of the samples in ``keep``) mapped to 0 and 255.

    Raises NOT_FINITE.
    """
    levels, counts = histogram(frame, keep)
    low, high = percentile_range(levels, counts, percentiles)
    return render(frame, lambda values: linear(values, low, high))


class Tally:
    """Grey levels of a volume, slab by slab, from at most about ``SAMPLES`` evenly spaced samples."""

    def __init__(self, total: int) -> None:
        """``total``: samples of the whole volume, which decides how many of them are looked at."""
        self._total = total
        self._samples: list[Frame] = []

    def add(self, slab: Frame) -> None:
        """Take the samples of one slab, of any shape."""
        self._samples.append(slab.reshape(-1, order="A")[:: stride(self._total, slab.shape[0])].copy())

    def levels(self) -> tuple[Levels, NDArray[np.int64]]:
        """Return the levels that occurred, ascending, and how often; non-finite ones are left out."""
        return histogram(np.concatenate(self._samples))


def stride(total: int, width: int) -> int:
    """Return the distance of samples that leaves about ``SAMPLES``, such that all columns get their share."""
    step = max(1, total // SAMPLES)
    while gcd(step, width) > 1:
        step += 1
    return step
