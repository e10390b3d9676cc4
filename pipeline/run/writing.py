"""How a run's rows are written: by its own process, or by others, which have partitions of them."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.listing.partitions import JointTodo, partitions_for
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import uid_ids
from s2sw.pipeline.privacy.private_dir import RunState
from s2sw.pipeline.profile.place import with_part_of
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.partition_state import PartitionTask
from s2sw.pipeline.run.partitions import Partitions, StartWriter
from s2sw.pipeline.run.passes import Passes, Results
from s2sw.pipeline.run.progress import Tally
from s2sw.pipeline.run.resources import machine_cores
from s2sw.pipeline.run.sink import WritingSink
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.tables import Row

log = logging.getLogger(__name__)

CLIENT = "ray://"
"""What the addresses of clusters begin with whose nodes do not see the files of this process."""


class Writing(Protocol):
    """Passes over a to-do list whose rows are written."""

    def run(self) -> None:
        """Run all passes; ``close`` is to be called in any case."""

    def close(self) -> None:
        """Commit what is whole."""

    @property
    def uncommitted(self) -> tuple[int, float]:
        """As of ``Writer.uncommitted``."""

    def facts(self) -> list[dict[str, float]]:
        """Return for the record what each partition did; [] where there are none."""


@dataclass(frozen=True)
class RunParts:
    """What writing needs of its run.

    constants: as of ``Writer``. ticked: called after each table. say: tells what is being done. held: entered
    around what is not to be interrupted. start: starts a writer of a partition.
    """

    job: Job
    state: RunState
    key: bytes | None
    lease: Lease
    tally: Tally
    constants: Row
    too_late: Callable[[], bool]
    ticked: Callable[[], None]
    say: Callable[[str], None]
    held: Callable[[], AbstractContextManager[None]]
    start: StartWriter | None = None

    def writing(self, todo: Todo, results: Results) -> Writing:
        """Return what writes the rows of a to-do list; results: as of ``Passes``."""
        return self._many(todo, results) if isinstance(todo, JointTodo) else _OneWriter(self, todo, results)

    def _many(self, todo: JointTodo, results: Results) -> Partitions:
        config = self.job.config
        tasks = [
            PartitionTask(
                number, one, self.job.output, config.parts, self.constants, not config.private,
                self.state.work, self.lease.name, self.job.deadline, config.cluster.give_up_after,
                config.storage, config.private,
            )
            for number, one in enumerate(todo.lists)
            if one.objects
        ]  # fmt: skip
        give_up = config.cluster.give_up_after
        return Partitions(
            tasks,
            self.start or self._on_ray(len(tasks)),
            results,
            self.tally,
            give_up,
            self._tick,
            self.say,
            self.held,
        )

    def _tick(self) -> None:
        self.lease.check()
        self.ticked()

    def _on_ray(self, partitions: int) -> StartWriter:
        from s2sw.pipeline.run.ray_writer import RayWriters  # here: Ray is slow to import

        return RayWriters(self.key, partitions, machine_cores(self.job.config.cluster))


class _OneWriter:
    """The process of the run writes."""

    def __init__(self, parts: RunParts, todo: Todo, results: Results) -> None:
        config = parts.job.config
        self._todo = todo
        self._writer = Writer(
            parts.job.output,
            config.parts,
            parts.constants,
            keep_uri=not config.private,
            before_commit=parts.lease.check,
            uid_ids=uid_ids(parts.key),
            with_part=with_part_of(parts.job.profile),
        )
        sink = WritingSink(self._writer, parts.tally, parts.ticked, parts.say, parts.held)
        give_up, folder_of = config.cluster.give_up_after, parts.state.crosswalk
        self._passes = Passes(results, sink, folder_of, parts.too_late, give_up)
        parts.tally.stage_seconds = self._passes.stage_seconds

    def run(self) -> None:
        self._passes.run(self._todo)

    def close(self) -> None:
        self._writer.commit()

    @property
    def uncommitted(self) -> tuple[int, float]:
        return self._writer.uncommitted

    def facts(self) -> list[dict[str, float]]:
        return []


def planned_partitions(asked: int | None, objects: int, on_ray: bool, cluster: ClusterSettings) -> int:
    """Return how many writers share so many objects. asked: as configured. on_ray: Ray runs passes."""
    if on_ray and not str(cluster.address).startswith(CLIENT):
        return asked or partitions_for(objects, machine_cores(cluster))
    if asked and asked > 1 and objects:
        why = "of little work" if not on_ray else f"of a run that is no node of its cluster ({CLIENT})"
        log.warning("%s", f"partitions: all results {why} are written by one process")
    return 1
