"""Unsigned integers kept as sorted runs: in memory up to a limit, beyond it in an unnamed temporary file."""

import tempfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.unsignedinteger]


class SortedRuns:
    """Takes numbers in any order and gives those of a range back, run by run, each sorted."""

    def __init__(self, dtype: type[np.unsignedinteger], limit: int, folder: Path | None = None) -> None:
        """Hold at most about ``limit`` numbers in memory; folder: of the file (default: the system's)."""
        self._dtype, self._limit, self._folder = np.dtype(dtype), limit, folder
        self._waiting: list[Values] = []
        self._count = 0
        self._file: IO[bytes] | None = None
        self._ends = [0]
        self._runs: list[Values] = []

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
        run = self._sorted()
        run.tofile(self._file)
        self._ends.append(self._ends[-1] + len(run))

    def finish(self) -> None:
        """Make the runs ready to be read; nothing is added any more."""
        if self._file is not None:
            self._file.flush()
            stored = np.memmap(self._file, self._dtype, "r")
            self._runs = [stored[a:b] for a, b in zip(self._ends, self._ends[1:], strict=False)]
        self._runs.append(self._sorted())

    def sample(self, stride: int) -> Values:
        """Return every stride-th number of each run."""
        return np.concatenate([run[stride - 1 :: stride] for run in self._runs])

    def between(self, low: int, high: int) -> list[Values]:
        """Return the numbers in low <= number < high, each run's sorted."""
        edges = [self._edges(run, low, high) for run in self._runs]
        return [np.asarray(run[a:b]) for run, (a, b) in zip(self._runs, edges, strict=True) if b > a]

    def _edges(self, run: Values, low: int, high: int) -> tuple[int, int]:
        most = int(np.iinfo(self._dtype).max)
        first = int(np.searchsorted(run, self._dtype.type(low)))
        return first, len(run) if high > most else int(np.searchsorted(run, self._dtype.type(high)))

    def close(self) -> None:
        """Let the file go."""
        self._runs = []
        if self._file is not None:
            self._file.close()
