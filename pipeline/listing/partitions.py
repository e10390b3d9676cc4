"""To-do lists of partitions: an object's partition follows from its id and their number alone."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import override

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.todo import Todo, TodoFiles

OF_A_WRITER = 4_000_000
"""Objects to do from which one more writer is started, if nobody says how many."""
MOST_BY_ITSELF = 8


def partitions_of(ids: Iterable[str], count: int) -> NDArray[np.int64]:
    """Return the partition, 0 to count - 1, of each object: CRC-32 of its id, which is a hash already."""
    return np.fromiter((crc32(one.encode()) for one in ids), np.int64) % count


def partitions_for(objects: int, cores: int) -> int:
    """Return how many partitions so many objects to do get. cores: of the machine that writes."""
    return max(1, min(-(-objects // OF_A_WRITER), MOST_BY_ITSELF, cores))


def write_partitions(folder: Path, batches: Iterable[pa.RecordBatch], group_size: int, count: int) -> Todo:
    """Write rows (schema MANIFEST) as one to-do list a partition, each in the order given.

    Returns a JointTodo, where there is one partition a plain list.
    """
    if count == 1:
        return Todo.write(folder, batches, group_size)
    folder.mkdir(parents=True, mode=0o700)
    with ExitStack() as stack:
        files = [
            stack.enter_context(TodoFiles(folder, group_size, f"p{number:03}-")) for number in range(count)
        ]
        for batch in batches:
            places = partitions_of(batch.column("object_id").to_pylist(), count)
            for number, one in enumerate(files):
                one.add(batch.filter(pa.array(places == number)))
    return JointTodo([one.todo for one in files])


class JointTodo(Todo):
    """Several to-do lists as one, their groups in turn; no group is of two lists.

    starts: the number that the first object of each list has here, and at last how many there are.
    """

    def __init__(self, lists: Sequence[Todo]) -> None:
        groups = [one.groups for one in lists]
        super().__init__(
            lists[0].folder, sum(groups), sum(one.objects for one in lists), max(o.group_size for o in lists)
        )
        self.lists = list(lists)
        self.starts = np.cumsum([0, *(one.objects for one in lists)], dtype=np.int64)
        lists_of = np.repeat(np.arange(len(groups), dtype=np.int32), groups)
        groups_of = np.concatenate([np.arange(count, dtype=np.int32) for count in groups])
        # all lists end at about the same time, however long each is
        turn = np.argsort((groups_of + 0.5) / np.array(groups)[lists_of], kind="stable")
        self._lists_of, self._groups_of = lists_of[turn], groups_of[turn]

    @override
    def mapped(self, change: Callable[[Todo], Todo]) -> "JointTodo":
        return JointTodo([change(one) for one in self.lists])

    @override
    def read(self, group: int) -> pa.Table:
        return self.lists[self._lists_of[group]].read(int(self._groups_of[group]))

    @override
    def objects_of(self, group: int) -> list[tuple[int, StoredObject]]:
        place = self._lists_of[group]
        start = int(self.starts[place])
        objects = self.lists[place].objects_of(int(self._groups_of[group]))
        return [(start + number, stored) for number, stored in objects]

    def lists_of(self, objects: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the place of the list that each object is of."""
        found: NDArray[np.int64] = np.searchsorted(self.starts, objects, side="right") - 1
        return found
