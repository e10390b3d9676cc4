"""The main pass over a to-do list and the sweeps over what is missing of it: each object gets an outcome.

A process that dies takes the objects of its task along; sweeps try them in ever smaller groups, at last
alone. What dies then is at fault itself, if others live: where nothing lives it is the machine or the
installation, and the run fails instead of giving every object a verdict.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.storage.local import local_object
from s2sw.pipeline.listing.sweeps import sweep_sizes
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.run.executor import LostGroup, RunFailedError
from s2sw.pipeline.stages.collecting import Collector, FinishedObject, no_seconds
from s2sw.schemas.outcomes import TRANSIENT_REASONS, Reason, Status
from s2sw.schemas.tables import MANIFEST

IDLE_TABLES = 32  # tables of deferred objects only, after the window, that show that the pipeline is drained
ROWS_OF_A_TABLE = 64  # as detectors give them; several may come as one
ALONE = 3
"""So many objects, and no more, may be all that a run has, all crash, and still be at fault themselves."""

CANARY_SIDE = 16

Results = Callable[[Todo, int, LostGroup], Iterator[pa.Table]]


class Sink(Protocol):
    """What a run does with outcomes."""

    def finish(self, finished: FinishedObject, reader: TodoReader) -> None:
        """Take an object that has its outcome."""

    def tick(self) -> None:
        """Commit, show and measure; called after each table."""

    def say(self, text: str) -> None:
        """Tell what is being done."""


class NothingLivesError(Exception):
    """So many groups were lost, and none came back, that going on would be in vain."""


class Passes:
    """Runs the passes of one run.

    results: yields the tables (schema DETECTED) of a to-do list. folder_of: where the to-do list of a pass is
    written. give_up_after: so many lost groups, or objects that the detector fails on, before anything lives,
    end the run; 0: never.
    """

    def __init__(
        self,
        results: Results,
        sink: Sink,
        folder_of: Callable[[int], Path],
        too_late: Callable[[], bool],
        give_up_after: int,
    ) -> None:
        self.stage_seconds = no_seconds()  # so far, over all passes
        self._results, self._sink, self._folder_of, self._too_late = results, sink, folder_of, too_late
        self._give_up_after = give_up_after
        self._lists = 0  # to-do lists written beside the first
        self._lost: Counter[str] = Counter()
        self._in_main = True
        self._decoded = self._scored = False  # whether anything ever came back from either stage
        self._failed: list[
            tuple[FinishedObject, TodoReader]
        ] = []  # by the detector, before it scored anything

    def run(self, todo: Todo) -> None:
        """Run all passes. Raises RunFailedError where nothing lives; what has no outcome then stays open."""
        try:
            missing = self._pass(todo, 0)
        except NothingLivesError:
            missing = list(range(todo.objects))
        self._in_main = False
        if missing and not self._decoded and self._give_up_after and not self._too_late():
            missing = self._try_some(todo, missing)
        self._sweep(todo, missing)
        if self._failed and self._give_up_after and len(self._failed) > ALONE:
            raise self._detector_fails()
        self._release()

    def resume(self, todo: Todo, done: NDArray[np.bool_], joins: bool) -> None:
        """Run all passes for a writer that was lost: what it held is tried again as if for the first time.

        done: by number, what it had committed. joins: a first pass over the list is under way.
        """
        missing = [int(number) for number in np.flatnonzero(~done)]
        if joins:
            with contextlib.suppress(NothingLivesError):
                missing = self._pass(todo, 0, done=done)
        if missing and not self._too_late():
            self.run(self._narrowed(todo, missing, todo.group_size))

    def seen(self, decoded: bool, scored: bool) -> None:
        """Note that elsewhere in the run something was decoded, or scored: then neither fails always."""
        self._decoded = self._decoded or decoded
        if scored and not self._scored:
            self._scored = True
            self._release()

    def _sweep(self, todo: Todo, missing: list[int]) -> None:
        sizes = sweep_sizes(len(missing), todo.group_size)
        for number, size in enumerate(sizes, start=1):
            if not missing or self._too_late():
                break
            self._sink.say(f"trying {len(missing)} objects again")
            todo = self._narrowed(todo, missing, size)
            missing = self._pass(todo, number, last=number == len(sizes))

    def _try_some(self, todo: Todo, missing: list[int]) -> list[int]:
        """Try a few objects, each alone, after all groups were lost; return what is still missing."""
        count = min(len(missing), self._give_up_after)
        some = missing[:: -(-len(missing) // count)]
        self._sink.say(f"nothing has succeeded so far: trying {len(some)} objects alone")
        lost = {some[number] for number in self._pass(self._narrowed(todo, some, 1), 1)}
        if not self._decoded and (len(missing) > ALONE or not self._canary_lives()):
            raise RunFailedError(f"no object could be decoded: {self._cause()}")
        return [number for number in missing if number in lost or number not in set(some)]

    def _canary_lives(self) -> bool:
        """Tell whether a sound picture comes back."""
        folder = self._next_folder()
        folder.mkdir(parents=True, mode=0o700)
        picture = folder / "canary.png"
        Image.new("L", (CANARY_SIDE, CANARY_SIDE)).save(picture)
        rows = pa.RecordBatch.from_pylist([{"object_id": "", **asdict(local_object(picture))}], MANIFEST)
        canary = Todo.write(self._next_folder(), [rows], 1)
        return any(True for _ in self._results(canary, 1, lambda _: None))

    def _next_folder(self) -> Path:
        self._lists += 1
        return self._folder_of(self._lists)

    def _narrowed(self, todo: Todo, numbers: list[int], size: int) -> Todo:
        return todo.narrowed(numbers, self._next_folder(), size)

    def _pass(
        self, todo: Todo, number: int, last: bool = False, done: NDArray[np.bool_] | None = None
    ) -> list[int]:
        """Screen a to-do list; return the numbers of objects without an outcome. done: those with one."""
        collector = Collector(todo.objects, self.stage_seconds, done)
        reader = TodoReader(todo)
        idle = 0
        for table in self._results(todo, number, self._on_lost):
            deferred_only = True
            for finished in collector.add(table):
                deferred_only &= finished.status is Status.DEFERRED
                if finished.reason in TRANSIENT_REASONS and not last:
                    collector.put_back(finished.number)
                else:
                    self._take(replace(finished, attempts=number + 1), reader)
            self._decoded = True
            self._sink.tick()
            tables = max(1, len(table) // ROWS_OF_A_TABLE)
            idle = idle + tables if deferred_only and self._too_late() else 0
            if idle >= IDLE_TABLES and not collector.has_open:
                break
        missing = collector.missing()
        if last and not self._too_late():
            for crashed in collector.give_up(missing, Reason.WORKER_CRASHED, attempts=number + 1):
                self._sink.finish(crashed, reader)
            return []
        return missing

    def _on_lost(self, words: str) -> None:
        """Count a lost group; end the main pass, which takes longest, where going on would be in vain."""
        self._lost[words] += 1
        if self._in_main and not self._decoded and 0 < self._give_up_after <= self._lost.total():
            raise NothingLivesError

    def _take(self, finished: FinishedObject, reader: TodoReader) -> None:
        """Pass an outcome on; hold back failures of a detector that has not scored anything yet."""
        if finished.reason is Reason.DETECTOR_FAILED and not self._scored:
            self._failed.append((finished, reader))
            if 0 < self._give_up_after <= len(self._failed):
                raise self._detector_fails()
            return
        if finished.status is Status.SCREENED:
            self._scored = True
            self._release()
        self._sink.finish(finished, reader)

    def _release(self) -> None:
        held, self._failed = self._failed, []
        for finished, reader in held:
            self._sink.finish(finished, reader)

    def _detector_fails(self) -> RunFailedError:
        words = Counter(finished.words for finished, _ in self._failed).most_common(1)[0][0]
        return RunFailedError(f"the detector fails on every picture: {words or 'no more is known'}")

    def _cause(self) -> str:
        return self._lost.most_common(1)[0][0] if self._lost else "every process that decodes ends at once"
