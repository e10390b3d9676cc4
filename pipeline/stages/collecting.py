"""From result rows in any order to whole objects: an object is done when all of its slices are."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from s2sw.pipeline.stages.wire import END
from s2sw.schemas.outcomes import Reason, Status, status_of
from s2sw.schemas.tables import Row


@dataclass(frozen=True)
class FinishedObject:
    """One object with its terminal status; slices, and digests of UIDs, only if it was screened."""

    number: int
    status: Status
    reason: Reason | None
    decoder: str
    attempts: int
    slices: list[Row] = field(default_factory=list)
    uids: Sequence[bytes] = ()
    case: str = ""
    """Keyed name of the case that it is of; "" for none."""
    words: str = ""
    """Why the detector failed on it, in our own words."""


@dataclass
class _Open:
    slices: dict[int, Row] = field(default_factory=dict)
    end: Row | None = None

    def whole(self) -> bool:
        if self.end is None:
            return False
        return self.end["reason"] is not None or len(self.slices) == self.end["n_slices"]


def no_seconds() -> dict[str, float]:
    """Return the seconds of each stage before it has done anything."""
    return {"decode": 0.0, "detect": 0.0}


class Collector:
    """Groups rows by object. A row that comes twice (a task that Ray ran again) counts once.

    stage_seconds: what both stages took is added there; by default to what begins with nothing. done: by
    number, objects that are finished already.
    """

    def __init__(
        self,
        objects: int,
        stage_seconds: dict[str, float] | None = None,
        done: NDArray[np.bool_] | None = None,
    ) -> None:
        self.finished = np.zeros(objects, np.bool_) if done is None else done.copy()
        self.stage_seconds = no_seconds() if stage_seconds is None else stage_seconds
        self._open: dict[int, _Open] = {}

    def add(self, table: pa.Table) -> Iterator[FinishedObject]:
        """Take rows of schema DETECTED; yield each object that became whole."""
        for row in table.to_pylist():
            number = row["object"]
            if self.finished[number]:
                continue
            state = self._open.setdefault(number, _Open())
            if row["slice_index"] == END:
                state.end = row
                self.stage_seconds["decode"] += row["decode_seconds"]
            else:
                state.slices[row["slice_index"]] = row
                self.stage_seconds["detect"] += row["detect_seconds"] or 0.0
            if state.whole():
                yield self._finish(number, state)

    @property
    def has_open(self) -> bool:
        """Whether some objects have arrived in part."""
        return bool(self._open)

    def put_back(self, number: int) -> None:
        """Take an outcome back: the object is to be tried again."""
        self.finished[number] = False

    def missing(self) -> list[int]:
        """Return the numbers of objects not finished, and forget what was seen of them."""
        self._open.clear()
        return [int(number) for number in np.flatnonzero(~self.finished)]

    def give_up(self, numbers: Iterable[int], reason: Reason, attempts: int) -> Iterator[FinishedObject]:
        """Finish objects that never came back."""
        for number in numbers:
            self.finished[number] = True
            yield FinishedObject(number, status_of(reason), reason, "", attempts)

    def _finish(self, number: int, state: _Open) -> FinishedObject:
        assert state.end is not None
        self.finished[number] = True
        del self._open[number]
        slices = [state.slices[i] for i in sorted(state.slices)]
        failed = [row["reason"] for row in slices if row["reason"] is not None]
        reason = state.end["reason"] or next(iter(failed), None)
        decoder, attempts = state.end["decoder"], state.end["attempts"]
        if reason is None:
            uids, case = state.end["uids"] or (), state.end["case"] or ""
            return FinishedObject(number, Status.SCREENED, None, decoder, attempts, slices, uids, case)
        reason = Reason(reason)
        words = next((row["failure"] for row in slices if row["failure"]), "")
        return FinishedObject(number, status_of(reason), reason, decoder, attempts, words=words)
