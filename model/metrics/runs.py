"""Unsigned integers kept as sorted runs: in memory up to a limit, beyond it in an unnamed temporary file."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class _Run:
    """Sorted numbers in memory or, where there are none, in the file from ``start`` on; every stride-th."""

    samples: Values
    size: int
    values: Values | None
    start: int = 0


class SortedRuns:
    """Takes numbers in any order and gives those of a range back, run by run, each sorted."""

    def __init__(
        self, dtype: type[np.unsignedinteger], limit: int, stride: int, folder: Path | None = None
    ) -> None:
        """Hold at most about ``limit`` numbers in memory; every stride-th of a run is kept as its sample.

        folder: where the file goes, by default the system's for temporary files.
        """
        self._dtype, self._limit, self._stride, self._folder = np.dtype(dtype), limit, stride, folder
        self._waiting: list[Values] = []
        self._count = 0
        self._file: IO[bytes] | None = None
        self._runs: list[_Run] = []

    def add(self, values: Values) -> None:
        """Take numbers; at the limit all that are held go to the file as one sorted run."""
        self._waiting.append(values.astype(self._dtype, copy=False))
        self._count += len(values)
        if self._count >= self._limit:
            self._spill()

    def _sorted(self) -> Values:
        joined = np.concatenate([np.empty(0, self._dtype), *self._waiting])
        joined.sort()
        self._waiting, self._count = [], 0
        return joined

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (closed by close)
        values = self._sorted()
        start = sum(run.size for run in self._runs)
        values.tofile(self._file)
        self._runs.append(_Run(self._sampled(values), len(values), None, start))

    def _sampled(self, values: Values) -> Values:
        return values[self._stride - 1 :: self._stride].copy()

    def finish(self) -> None:
        """Make what is held the last run; nothing is added any more."""
        values = self._sorted()
        self._runs.append(_Run(self._sampled(values), len(values), values))

    def samples(self) -> Values:
        """Return every stride-th number of each run."""
        return np.concatenate([run.samples for run in self._runs])

    def between(self, low: int, high: int) -> list[Values]:
        """Return the numbers in low <= number < high, those of each run sorted; no empty runs."""
        found = [self._cut(run, low, high) for run in self._runs]
        return [values for values in found if len(values)]

    def _cut(self, run: _Run, low: int, high: int) -> Values:
        """Read from the sample below low to the one above high, and cut exactly."""
        first = self._place(run.samples, low) * self._stride
        end = min(run.size, (self._place(run.samples, high) + 1) * self._stride)
        if run.values is not None:
            values = run.values[first:end]
        else:
            assert self._file is not None
            self._file.seek((run.start + first) * self._dtype.itemsize)
            values = np.fromfile(self._file, self._dtype, end - first)
        return values[self._place(values, low) : self._place(values, high)]

    def _place(self, values: Values, number: int) -> int:
        if number > np.iinfo(self._dtype).max:
            return len(values)
        return int(np.searchsorted(values, self._dtype.type(number)))

    def close(self) -> None:
        """Let the file go."""
        self._runs = []
        if self._file is not None:
            self._file.close()
