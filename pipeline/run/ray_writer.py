"""Writers of partitions as actors of Ray, on the machine of their run.

There they find its files, and the key of the ids leaves no machine: it is an argument of a call, which Ray
neither stores nor logs, unlike those of a constructor.
"""

from collections import deque
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


class RayWriter:
    """The handle of such an actor; it is started at once."""

    def __init__(self, task: PartitionTask, key: bytes | None) -> None:
        here: str = ray.get_runtime_context().get_node_id()
        # Ray's annotations do not know classes with options
        remote: Any = ray.remote(PartitionWork)
        self._actor = remote.options(
            num_cpus=NO_CPU,
            max_restarts=0,  # the run starts another one, which knows that it is not the first
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        ).remote(task)
        self._state = PartitionState()
        self._asked: deque[Any] = deque()
        self.push("start", key)

    @property
    def state(self) -> PartitionState:
        """Its last answer."""
        return self._state

    def push(self, method: str, *arguments: Any) -> None:
        """Call it without waiting for the answer."""
        given = [packed(one) if isinstance(one, pa.Table) else one for one in arguments]
        self._asked.append(getattr(self._actor, method).remote(*given))

    def settle(self, most: int = 0) -> PartitionState:
        """Wait until at most so many answers are outstanding. Raises WriterLostError."""
        try:
            while len(self._asked) > most:
                self._state = ray.get(self._asked[0])
                self._asked.popleft()
        except ray.exceptions.RayError as error:
            raise WriterLostError(words_of(error)) from None
        return self._state

    def discard(self) -> None:
        """End the process."""
        self._asked.clear()
        ray.kill(self._actor)


def packed(table: pa.Table) -> bytes:
    """Return the table as an Arrow stream: Ray's own way to serialise tables takes tens of milliseconds."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
