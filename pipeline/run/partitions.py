"""A run with several writers: it hands rows to the writer of their partition, and supervises them.

All partitions share the passes: to-do lists that partitions wait for are joined, and run as one over one pool
of detectors. A writer that is lost is started again; it joins the first pass where that still runs, and then
asks for what its predecessor had not committed.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa

from s2sw.pipeline.ledger.lease import LeaseLostError, WriterLease
from s2sw.pipeline.listing.partitions import JointTodo
from s2sw.pipeline.run.executor import RunFailedError
from s2sw.pipeline.run.partition_rows import committed_tally, sweep_partition
from s2sw.pipeline.run.partition_state import PARTITION, PartitionState, PartitionTask
from s2sw.pipeline.run.passes import NothingLivesError, Results
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.outcomes import Status

log = logging.getLogger(__name__)

ANSWERS_AHEAD = 3
"""Calls of a writer that are not answered yet; rows are held back then."""
ROWS_AT_ONCE = 1024
BYTES_AT_ONCE = 4 << 20
SECONDS_AT_ONCE = 1.0
"""Rows wait for others, so many for each writer, so many bytes or so long: each call costs a millisecond."""
LOSSES = 4
"""So many writers of a partition, one after the other, may be lost before one commits anything."""


class WriterLostError(Exception):
    """The process of a writer is gone."""


class WriterHandle(Protocol):
    """A ``PartitionWork`` that was told to start, in another process."""

    @property
    def state(self) -> PartitionState:
        """Its last answer."""

    def push(self, method: str, *arguments: Any) -> None:
        """Call it without waiting for the answer."""

    def settle(self, most: int = 0) -> PartitionState:
        """Wait until at most so many answers are outstanding. Raises WriterLostError."""

    def discard(self) -> None:
        """End the process."""


StartWriter = Callable[[PartitionTask], WriterHandle]


@dataclass
class Partition:
    """A partition as its run sees it.

    serial: of the pass that it is in, 0 if in none; base: that is the first over its list. losses: in a row.
    parts, seconds: of the writers that were lost. last: how far it was when its last one was lost at the end.
    told: so much of what its writer said is in the log.
    """

    task: PartitionTask
    handle: WriterHandle
    serial: int = 0
    base: bool = False
    losses: int = 0
    parts: int = 0
    seconds: float = 0.0
    last: PartitionState | None = None
    told: int = 0

    @property
    def state(self) -> PartitionState:
        """How far it is."""
        return self.last or self.handle.state

    @property
    def takes(self) -> bool:
        """Whether it takes rows of the pass that runs, as far as is known."""
        wanted = self.state.wanted
        return self.serial > 0 and not self.state.ended and (wanted is None or wanted.serial <= self.serial)


@dataclass
class Partitions:
    """Runs the passes of all partitions.

    results, give_up_after: as of ``Passes``. tally: is kept up to date. ticked, say, held: as of
    ``WritingSink``.
    """

    tasks: Sequence[PartitionTask]
    start: StartWriter
    results: Results
    tally: Tally
    give_up_after: int
    ticked: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda _: None
    held: Callable[[], AbstractContextManager[None]] = nullcontext
    _partitions: list[Partition] = field(default_factory=list)
    _lost: list[str] = field(default_factory=list)
    _decoded: bool = False
    _in_main: bool = True

    def run(self) -> None:
        """Run all passes. Raises RunFailedError, LeaseLostError; ``close`` is to be called in any case."""
        for task in self.tasks:
            with self.held():
                self._partitions.append(Partition(task, self.start(task)))
        while wanting := self._wanting():
            self._pass(wanting)
            self._in_main = False

    def close(self) -> None:
        """Let all commit what is whole, and end them. Raises as ``run`` if that fails."""
        for one in self._partitions:
            one.handle.push("stop")
        lost = []
        for one in self._partitions:
            try:
                one.handle.settle()
            except WriterLostError:
                lost.append(one)
            one.handle.discard()
        for one in lost:
            one.last = _left_by(one.task)
        self._add_up()
        for one in self._partitions:
            self._check(one)

    @property
    def uncommitted(self) -> tuple[int, float]:
        """As of ``Writer.uncommitted``, over all writers."""
        states = [one.state for one in self._partitions]
        return sum(s.uncommitted for s in states), max((s.oldest for s in states), default=0.0)

    def facts(self) -> list[dict[str, float]]:
        """Return for the record what each partition did."""
        return [
            {
                "number": one.task.number,
                "objects": one.task.todo.objects,
                "finished": one.state.tally.objects - one.state.tally.statuses[Status.DEFERRED],
                "slices": one.state.tally.slices,
                "parts": one.parts + one.state.parts,
                "writers": one.task.term,
                "processor_seconds": round(one.seconds + one.state.seconds, 3),
            }
            for one in self._partitions
        ]

    def _wanting(self) -> list[Partition]:
        """Return the partitions that wait for a pass, after all have answered."""
        for one in self._partitions:
            while True:
                try:
                    one.handle.settle()
                    break
                except WriterLostError as error:
                    self._restart(one, error)
            self._check(one)
        self._add_up()
        return [one for one in self._partitions if one.state.wanted and not one.state.ended]

    def _pass(self, partitions: list[Partition]) -> None:
        """Run one pass over the lists that these partitions wait for."""
        wanted = [one.state.wanted for one in partitions]
        lists = [pass_.todo for pass_ in wanted if pass_]
        number = min(pass_.number for pass_ in wanted if pass_)
        for one, pass_ in zip(partitions, wanted, strict=True):
            assert pass_ is not None
            one.serial, one.base = pass_.serial, pass_.base
        joint = JointTodo(lists)
        if not self._in_main:
            self.say(f"trying {joint.objects} objects again")
        self._lost.clear()
        with suppress(NothingLivesError):
            for table in self._rows(joint, number):
                for one, rows in _by_list(table, joint, partitions):
                    self._hand(one, rows)
                self._add_up()
                if not any(one.takes for one in partitions):
                    break
        for one in partitions:
            if one.serial:
                with self.held():
                    lost = [] if self._decoded else list(self._lost)
                    one.handle.push("over", one.serial, self._decoded, self._scored, lost)
                    one.serial = 0

    def _rows(self, joint: JointTodo, number: int) -> Iterator[pa.Table]:
        """Yield the rows of a pass in tables that are worth a call."""
        parts = self.tasks[0].parts
        most, seconds = min(ROWS_AT_ONCE, parts.rows) * len(joint.lists), min(SECONDS_AT_ONCE, parts.seconds)
        waiting: list[pa.Table] = []
        rows, size, since = 0, 0, time.monotonic()
        try:
            for table in self.results(joint, number, self._on_lost):
                self._decoded = True
                waiting.append(table)
                self.ticked()
                rows, size = rows + len(table), size + table.get_total_buffer_size()
                if rows >= most or size >= BYTES_AT_ONCE or time.monotonic() - since >= seconds:
                    yield pa.concat_tables(waiting).combine_chunks()
                    waiting, rows, size, since = [], 0, 0, time.monotonic()
        except KeyboardInterrupt:  # what is whole is committed all the same
            if waiting:
                yield pa.concat_tables(waiting).combine_chunks()
            raise
        if waiting:
            yield pa.concat_tables(waiting).combine_chunks()

    def _hand(self, one: Partition, rows: pa.Table) -> None:
        if not one.takes:
            return
        try:
            one.handle.settle(ANSWERS_AHEAD - 1)
        except WriterLostError as error:
            self._restart(one, error)
        self._check(one)
        if one.takes:
            with self.held():
                one.handle.push("take", rows, one.serial, self._scored)

    def _restart(self, one: Partition, error: WriterLostError) -> None:
        """Start another writer for a partition. Raises RunFailedError where none gets anywhere."""
        one.losses = 1 if one.state.parts else one.losses + 1
        if one.losses > LOSSES:
            raise RunFailedError(
                f"the writer of partition {one.task.number} was lost {one.losses} times before it had "
                f"written anything ({error}); free memory, or use fewer --partitions"
            )
        log.warning("the writer of partition %d was lost: another one continues", one.task.number)
        joins = one.serial > 0 and one.base
        with self.held():
            one.parts += one.state.parts
            one.seconds += one.state.seconds
            one.handle.discard()
            one.task = replace(one.task, term=one.task.term + 1, joins=joins)
            one.serial, one.told = 1 if joins else 0, 0
            one.handle = self.start(one.task)

    def _on_lost(self, words: str) -> None:
        """Note a lost group; end the first pass where nothing lives, as ``Passes`` do with one writer."""
        self._lost.append(words)
        if self._in_main and not self._decoded and 0 < self.give_up_after <= len(self._lost):
            raise NothingLivesError

    @property
    def _scored(self) -> bool:
        return self.tally.statuses[Status.SCREENED] > 0

    def _add_up(self) -> None:
        self.tally.become_sum([one.state.tally for one in self._partitions])
        for one in self._partitions:
            for said in one.state.said[one.told :]:
                extra = {PARTITION: one.task.number}
                log.log(said.level, "partition %d: %s", one.task.number, said.message, extra=extra)
            one.told = len(one.state.said)

    def _check(self, one: Partition) -> None:
        failure = one.state.failure
        if failure is not None:
            kind = LeaseLostError if failure.lease else RunFailedError
            raise kind(failure.words)


def _left_by(task: PartitionTask) -> PartitionState:
    """Return what a lost writer that has no successor did, and remove what it did not commit."""
    with WriterLease(task.output, task.run_id, task.number, task.run_lease):  # it is dead for sure
        sweep_partition(task.output, task.run_id, task.number)
        return PartitionState(committed_tally(task.output, task.run_id, task.number), ended=True)


def _by_list(
    table: pa.Table, joint: JointTodo, partitions: list[Partition]
) -> Iterator[tuple[Partition, pa.Table]]:
    """Yield the rows of each partition, with the numbers that objects have in its own list."""
    objects = table.column("object").to_numpy()
    places = joint.lists_of(objects)
    column = table.schema.get_field_index("object")
    for place in sorted(set(places.tolist())):
        here = places == place
        rows = table if here.all() else table.filter(pa.array(here))
        numbers = pa.array(objects[here] - joint.starts[place])
        yield partitions[place], rows.set_column(column, table.schema.field(column), numbers)
