"""Writers, and runs with one, that die at a write of their choice, in the process of a test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.run.partition_state import PartitionState, PartitionTask
from s2sw.pipeline.run.partition_work import PartitionWork
from s2sw.pipeline.run.partitions import WriterLostError


class Killed(BaseException):
    """The process is dead: nothing that it does afterwards reaches the disk."""


class MortalOutput(LocalOutput):
    """A folder whose writer dies at its n-th write, before or after the file is there, or with its owner."""

    def __init__(
        self, root: Path, writes: int | None, after: bool, owner: "MortalOutput | None" = None
    ) -> None:
        super().__init__(root)
        self._left, self._after, self._owner = writes, after, owner

    @property
    def dead(self) -> bool:
        """Whether it died."""
        return self._left == 0 or (self._owner is not None and self._owner.dead)

    @override
    def write(self, name: str, data: bytes) -> None:
        if self.dead:
            raise Killed
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                if self._after:
                    super().write(name, data)
                raise Killed
        super().write(name, data)

    @override
    def delete(self, name: str) -> None:
        if self.dead:
            raise Killed
        super().delete(name)


class MortalWriter:
    """A partition's writer in this process; ``discard`` is what the end of a process does to its lease."""

    def __init__(self, task: PartitionTask, output: MortalOutput) -> None:
        self.state = PartitionState()
        self.calls: list[str] = []
        self._output = output
        self._work = PartitionWork(replace(task, output=output))
        self.push("start", None)

    def push(self, method: str, *arguments: Any) -> None:
        self.calls.append(method)
        if not self._output.dead:
            try:
                self.state = getattr(self._work, method)(*arguments)
            except Killed:
                assert self._output.dead

    def settle(self, most: int = 0) -> PartitionState:
        if self._output.dead:
            raise WriterLostError("killed")
        return self.state

    def discard(self) -> None:
        lease = self._work._lease
        if lease is not None:
            lease._released.set()
            Path(self._output.root, lease.name).unlink(missing_ok=True)


class MortalWriters:
    """Starts the writers of a run. deaths: the write at which each dies, in the order of their start."""

    def __init__(self, output: MortalOutput, deaths: tuple[int | None, ...], after: bool) -> None:
        self.started: list[MortalWriter] = []
        self._output, self._deaths, self._after = output, iter(deaths), after

    def start(self, task: PartitionTask) -> MortalWriter:
        output = MortalOutput(
            Path(self._output.root), next(self._deaths, None), self._after, owner=self._output
        )
        self.started.append(MortalWriter(task, output))
        return self.started[-1]
