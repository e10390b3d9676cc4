"""Writers of partitions as actors of Ray, on the machine of their run.

There they find its files, and the key of the ids leaves no machine: it is an argument of a call, which Ray
neither stores nor logs, unlike those of a constructor.
"""

from collections import deque
from dataclasses import replace
from typing import Any

import pyarrow as pa
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from s2sw.pipeline.run.executor import words_of
from s2sw.pipeline.run.partition_state import PartitionState, PartitionTask
from s2sw.pipeline.run.partition_work import PartitionWork
from s2sw.pipeline.run.partitions import WriterLostError

NO_CPU = 0
"""CPUs reserved for a writer: it takes a share of what is there, as the run with one writer does itself."""


class PartitionWorks:
    """The writers of some partitions, in one process."""

    def __init__(self) -> None:
        self._works: dict[int, PartitionWork] = {}

    def start(self, task: PartitionTask, key: bytes | None) -> PartitionState:
        """Start the writer of a partition. key: of the ids."""
        self._works[task.number] = PartitionWork(task)
        return self._shared(self._works[task.number].start(key))

    def call(self, number: int, method: str, *arguments: Any) -> PartitionState:
        """Call a method of the writer of a partition."""
        state: PartitionState = getattr(self._works[number], method)(*arguments)
        return self._shared(state)

    def _shared(self, state: PartitionState) -> PartitionState:
        """Give each writer its share of what the process took."""
        return replace(state, seconds=state.seconds / len(self._works))


class WriterProcess:
    """A process for the writers of so many partitions; the calls of each keep their order."""

    def __init__(self, partitions: int = 1) -> None:
        here: str = ray.get_runtime_context().get_node_id()
        self._free = deque(str(n) for n in range(partitions))
        self._users = 0
        # a writer waits in its calls: each has a thread of its own for them
        remote: Any = ray.remote  # its annotations do not know groups
        actor = remote(num_cpus=NO_CPU, concurrency_groups=dict.fromkeys(self._free, 1))(PartitionWorks)
        self._actor = actor.options(
            max_restarts=0,  # the run starts other writers, which know that they are not the first
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        ).remote()

    def enter(self) -> str:
        """Return the thread of a writer that is started there."""
        self._users += 1
        return self._free.popleft()

    def call(self, thread: str, method: str, *arguments: Any) -> Any:
        """Call a method of the actor, in such a thread; returns what Ray gives at once."""
        return getattr(self._actor, method).options(concurrency_group=thread).remote(*arguments)

    def leave(self, lost: bool) -> None:
        """End the process with its last writer, or at once where one of them is lost."""
        self._users -= 1
        if lost or not self._users:
            ray.kill(self._actor)


class RayWriters:
    """Starts the writers of a run: the first ones in as many processes as keep the cores busy.

    A process takes a second to start and 5 ms a second while it waits. Whoever follows a lost writer has one
    of its own.
    """

    def __init__(self, key: bytes | None, partitions: int, processes: int) -> None:
        self._key = key
        count = min(processes, partitions)
        self._processes = [WriterProcess(len(range(one, partitions, count))) for one in range(count)]
        self._started = 0

    def __call__(self, task: PartitionTask) -> "RayWriter":
        """Start one."""
        if task.term > 1:
            return RayWriter(task, self._key, WriterProcess())
        self._started += 1
        return RayWriter(task, self._key, self._processes[(self._started - 1) % len(self._processes)])


class RayWriter:
    """The handle of the writer of a partition; it is started at once."""

    def __init__(self, task: PartitionTask, key: bytes | None, process: WriterProcess) -> None:
        self._number, self._process = task.number, process
        self._thread = process.enter()
        self._lost = False
        self._state = PartitionState()
        self._asked: deque[Any] = deque([process.call(self._thread, "start", task, key)])

    @property
    def state(self) -> PartitionState:
        """Its last answer."""
        return self._state

    def push(self, method: str, *arguments: Any) -> None:
        """Call it without waiting for the answer."""
        given = [packed(one) if isinstance(one, pa.Table) else one for one in arguments]
        self._asked.append(self._process.call(self._thread, "call", self._number, method, *given))

    def settle(self, most: int = 0) -> PartitionState:
        """Wait until at most so many answers are outstanding. Raises WriterLostError."""
        try:
            while len(self._asked) > most:
                self._state = ray.get(self._asked[0])
                self._asked.popleft()
        except ray.exceptions.RayError as error:
            self._lost = True
            raise WriterLostError(words_of(error)) from None
        return self._state

    def discard(self) -> None:
        """End it, and its process where no other writer needs that."""
        self._asked.clear()
        self._process.leave(self._lost)


def packed(table: pa.Table) -> bytes:
    """Return the table as an Arrow stream: Ray's own way to serialise tables takes tens of milliseconds."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
