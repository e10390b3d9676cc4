"""One partition of a run: passes, writer and lease as of a run with one writer, over a list of its own.

It runs in another process than its run, alone or beside others. The run hands it the rows of its objects as
they come, and learns from its answers how far it is and which pass it waits for.
"""

import contextlib
import copy
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from time import process_time, time

import pyarrow as pa

from s2sw.pipeline.ledger.lease import LeaseHeldError, LeaseLostError, WriterLease
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.environment import enter_worker
from s2sw.pipeline.privacy.ids import uid_ids
from s2sw.pipeline.privacy.redaction import describe
from s2sw.pipeline.run.executor import LostGroup, RunFailedError
from s2sw.pipeline.run.partition_rows import committed_numbers, committed_tally, sweep_partition
from s2sw.pipeline.run.partition_state import Failure, PartitionState, PartitionTask, WantedPass, WriterLog
from s2sw.pipeline.run.passes import Passes
from s2sw.pipeline.run.progress import Tally
from s2sw.pipeline.run.run_log import OWN
from s2sw.pipeline.run.sink import WritingSink
from s2sw.schemas.layout import writer_mark

TABLES_AHEAD = 4
IDLE_SECONDS = 1.0
"""Without rows for so long, a writer looks whether what it holds is old enough to be committed."""


class _StoppedError(Exception):
    """The run ends here."""


class PartitionWork:
    """The writer of one partition. Its methods are called one after the other, in the order in which it gets
    the calls; each returns how far it is. Passes run in a thread of their own.
    """

    def __init__(self, task: PartitionTask) -> None:
        self._task = task
        self._changed = threading.Condition()
        self._tables: deque[pa.Table] = deque()
        self._tally = Tally()
        self._state = PartitionState()
        self._wanted: WantedPass | None = None
        self._serial = 0
        self._began = 0.0
        self._takes = self._stopping = self._ended = False
        self._over: list[str] | None = None  # with what was lost, once a pass is over
        self._decoded = self._scored = False  # anywhere in the run
        self._failure: Failure | None = None
        self._log = WriterLog()
        self._lease: WriterLease | None = None
        self._thread: threading.Thread | None = None

    def start(self, key: bytes | None) -> PartitionState:
        """Take the partition, and ask for its first pass. key: of the ids."""
        enter_worker(self._task.storage, self._task.private)
        logging.getLogger(OWN).addHandler(self._log)
        with self._log.listening():
            return self._started(key)

    def _started(self, key: bytes | None) -> PartitionState:
        task = self._task
        try:
            lease = WriterLease(task.output, task.run_id, task.number, task.run_lease)
            self._lease = lease.__enter__()
            self._writer = Writer(
                task.output, task.parts, task.constants, task.keep_uri, lease.check, uid_ids(key),
                writer_mark(task.number, task.term),
            )  # fmt: skip
            if task.term > 1:
                sweep_partition(task.output, task.run_id, task.number)
                self._tally = committed_tally(task.output, task.run_id, task.number)
        except Exception as error:  # noqa: BLE001 - it crosses to another process as words
            self._failure, self._ended = self._failed(error), True
            return self._look()
        sink = WritingSink(self._writer, self._tally, self._look_by_itself)
        self._passes = Passes(self._results, sink, self._folder, self._too_late, task.give_up_after)
        self._tally.stage_seconds = self._passes.stage_seconds
        self._began = process_time()
        here = copy_context()  # what it warns of is this writer's, as what is said here
        self._thread = threading.Thread(target=here.run, args=(self._run,), name="passes", daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._serial or self._ended)
            return self._look()

    def take(self, rows: pa.Table | bytes, serial: int, scored: bool) -> PartitionState:
        """Take rows (schema DETECTED, a table or an Arrow stream) of a pass; waits while it is behind.

        scored: as of ``Passes.seen``.
        """
        table = pa.ipc.open_stream(rows).read_all() if isinstance(rows, bytes) else rows
        with self._changed:
            self._scored = scored
            self._changed.wait_for(lambda: len(self._tables) < TABLES_AHEAD or not self._is_in(serial))
            if self._is_in(serial):
                self._tables.append(table)
                self._changed.notify_all()
            return self._state

    def over(self, serial: int, decoded: bool, scored: bool, lost: list[str]) -> PartitionState:
        """End a pass, and wait until the next one is wanted or the partition ends. lost: groups, by cause."""
        with self._changed:
            self._decoded, self._scored = decoded, scored
            if self._is_in(serial):
                self._over = lost
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._ended or (self._serial > serial and self._takes))
            return self._look()

    def look(self) -> PartitionState:
        """Return how far it is."""
        return self._state

    def stop(self) -> PartitionState:
        """End: commit what is whole, and give the partition free."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
        logging.getLogger(OWN).removeHandler(self._log)
        if self._lease:
            with contextlib.suppress(OSError):  # it runs out by itself
                self._lease.__exit__(None, None, None)
            self._lease = None
        return self._state

    def _run(self) -> None:
        task = self._task
        try:
            if task.term == 1:
                self._passes.run(task.todo)
            else:
                done = committed_numbers(task.output, task.run_id, task.number, task.todo)
                self._passes.resume(task.todo, done, task.joins)
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - the run is told
            self._failure = self._failed(error)
        try:
            self._writer.commit()
        except BaseException as error:  # noqa: BLE001 - the run is told
            self._failure = self._failure or self._failed(error)
        with self._changed:
            self._ended = True
            self._look()
            self._changed.notify_all()

    def _results(self, todo: Todo, number: int, lost: LostGroup) -> Iterator[pa.Table]:
        """Yield the rows of a pass that the run was asked for."""
        with self._changed:
            self._serial += 1
            base = self._serial == 1 and self._task.joins
            self._wanted = WantedPass(todo, number, self._serial, base)
            self._takes = True
            self._look()
            self._changed.notify_all()
        try:
            while (table := self._next(lost)) is not None:
                self._passes.seen(True, self._scored)
                yield table
        finally:  # also where a pass is left before it is over
            with self._changed:
                self._tables.clear()
                self._takes, self._over = False, None
                self._changed.notify_all()

    def _next(self, lost: LostGroup) -> pa.Table | None:
        while True:
            with self._changed:
                if not (self._tables or self._over is not None or self._stopping):
                    self._changed.wait(IDLE_SECONDS)
                if self._tables:  # also where the run stops: they were taken before
                    table = self._tables.popleft()
                    self._changed.notify_all()
                    return table
                if self._stopping:
                    raise _StoppedError
                over = self._over
            if over is not None:
                self._passes.seen(self._decoded, self._scored)
                for words in over:
                    lost(words)
                return None
            self._writer.commit_if_due()
            self._look_by_itself()

    def _is_in(self, serial: int) -> bool:
        return self._takes and self._serial == serial and not (self._ended or self._stopping)

    def _look_by_itself(self) -> None:
        with self._changed:
            self._look()

    def _look(self) -> PartitionState:
        """Note how far it is. In the thread of the passes, or while that waits."""
        count, oldest, parts = 0, 0.0, 0
        if self._thread:
            (count, oldest), parts = self._writer.uncommitted, self._writer.parts
        tally = copy.deepcopy(self._tally)
        self._state = PartitionState(
            tally,
            count,
            oldest,
            parts,
            process_time() - self._began,
            self._wanted,
            self._ended,
            self._failure,
            self._log.said,
        )
        return self._state

    def _failed(self, error: BaseException) -> Failure:
        if isinstance(error, LeaseLostError | LeaseHeldError):
            return Failure(str(error), lease=True)
        if isinstance(error, RunFailedError):
            return Failure(str(error))
        if self._task.private:
            return Failure(describe(error))
        if isinstance(error, OSError) and error.strerror:
            return Failure(error.strerror)
        return Failure(f"{type(error).__name__}: {error}")

    def _folder(self, number: int) -> Path:
        return self._task.work / f"partition-{self._task.number:03}-{self._task.term}" / f"pass-{number}"

    def _too_late(self) -> bool:
        return self._task.deadline is not None and time() >= self._task.deadline
