"""The part of the listing that is still to do, in groups that decode tasks read."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.manifest import LISTING_BATCH
from s2sw.schemas.tables import MANIFEST

GROUP_OBJECTS = 256  # objects of one decode task, at most: a task costs 70 ms whatever it decodes
GROUP_BYTES = 128 << 20  # of these, on average: what a task that dies has to read again
TASKS_A_CORE = 16  # at least, as far as there are objects, so that all cores are done at about the same time
MAX_GROUPS = 20_000  # beyond that many tasks groups grow instead
READER_ROWS = 16_384  # of the groups that a reader keeps
GROUPS_PER_FILE = 500  # row groups of a to-do file: a reader parses the footer of one file only


class Todo:
    """The objects of one pass in groups: one row group each, read alone by the task that decodes it.

    prefix: what the names of its files begin with, in a folder that holds several lists.
    """

    def __init__(self, folder: Path, groups: int, objects: int, group_size: int, prefix: str = "") -> None:
        self.folder = folder
        self.groups = groups
        self.objects = objects
        self.group_size = group_size
        self.prefix = prefix

    @classmethod
    def write(cls, folder: Path, batches: Iterable[pa.RecordBatch], group_size: int) -> "Todo":
        """Write the rows (schema MANIFEST) in the order given."""
        folder.mkdir(parents=True, mode=0o700)
        with TodoFiles(folder, group_size) as files:
            for batch in batches:
                files.add(batch)
        return files.todo

    @property
    def paths(self) -> list[Path]:
        """Its files, in order."""
        return sorted(self.folder.glob(f"{self.prefix}[0-9]*.parquet"))

    def mapped(self, change: "Callable[[Todo], Todo]") -> "Todo":
        """Return the list changed; of one that joins several, each of these."""
        return change(self)

    def narrowed(self, numbers: list[int], folder: Path, size: int) -> "Todo":
        """Write a to-do list of some of these objects, ``size`` a group."""
        reader = TodoReader(self)
        parts = (numbers[i : i + LISTING_BATCH] for i in range(0, len(numbers), LISTING_BATCH))
        return Todo.write(folder, map(reader.batch, parts), size)

    def read(self, group: int) -> pa.Table:
        """Return the rows of one group (schema MANIFEST)."""
        with self._file(group // GROUPS_PER_FILE) as file:
            return file.read_row_group(group % GROUPS_PER_FILE)

    def _file(self, number: int) -> pq.ParquetFile:
        return pq.ParquetFile(self.folder / f"{self.prefix}{number:06}.parquet")

    def objects_of(self, group: int) -> list[tuple[int, StoredObject]]:
        """Return row number and object of one group, without the ids."""
        first = group * self.group_size
        return [(first + i, _stored(row)) for i, row in enumerate(self.read(group).to_pylist())]

    def ids_of(self, group: int) -> list[str]:
        """Return the ids of the objects of one group."""
        return [str(name) for name in self.read(group).column("object_id").to_pylist()]


class TodoFiles:
    """A context manager that writes a to-do list group by group; ``todo`` is the list once it is left."""

    def __init__(self, folder: Path, group_size: int, prefix: str = "") -> None:
        self._folder, self._size, self._prefix = folder, group_size, prefix
        self._per_file = GROUPS_PER_FILE * group_size
        self._pending: list[pa.RecordBatch] = []
        self._file: pq.ParquetWriter | None = None
        self._objects = 0

    def __enter__(self) -> "TodoFiles":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write(sum(map(len, self._pending)))
        self._close()

    @property
    def todo(self) -> Todo:
        """The list of all that was added."""
        groups = -(-self._objects // self._size)
        return Todo(self._folder, groups, self._objects, self._size, self._prefix)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows (schema MANIFEST); all but those of a group that is not whole yet are written."""
        self._pending.append(batch)
        rows = sum(map(len, self._pending))
        self._write(rows - rows % self._size)

    def _write(self, rows: int) -> None:
        if not rows:
            return
        table = pa.Table.from_batches(self._pending, MANIFEST)
        self._pending = table.slice(rows).to_batches()
        start = 0
        while start < rows:
            part = table.slice(start, min(rows - start, self._per_file - self._objects % self._per_file))
            if self._file is None:
                path = self._folder / f"{self._prefix}{self._objects // self._per_file:06}.parquet"
                self._file = pq.ParquetWriter(path, MANIFEST, compression="zstd")
            self._file.write_table(part, row_group_size=self._size)
            start, self._objects = start + len(part), self._objects + len(part)
            if self._objects % self._per_file == 0:
                self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def group_size(objects: int, size: int, cores: int) -> int:
    """Return how many objects a task decodes: of ``objects`` of ``size`` bytes together, on some cores."""
    most = min(GROUP_OBJECTS, GROUP_BYTES * objects // max(1, size))
    return max(1, min(most, objects // (TASKS_A_CORE * cores)), -(-objects // MAX_GROUPS))


class TodoReader:
    """Rows of a to-do list by their number; keeps the groups read last."""

    def __init__(self, todo: Todo) -> None:
        self._todo = todo
        kept = max(64, READER_ROWS // todo.group_size)
        self._group = lru_cache(maxsize=kept)(lambda group: todo.read(group).to_pylist())

    def row(self, number: int) -> tuple[str, StoredObject]:
        """Return the id and the object of one row."""
        row = self._group(number // self._todo.group_size)[number % self._todo.group_size]
        return row["object_id"], _stored(row)

    def batch(self, numbers: Iterable[int]) -> pa.RecordBatch:
        """Return some rows (schema MANIFEST)."""
        size = self._todo.group_size
        rows = [self._group(number // size)[number % size] for number in numbers]
        return pa.RecordBatch.from_pylist(rows, MANIFEST)


def _stored(row: dict[str, Any]) -> StoredObject:
    return StoredObject(**{key: value for key, value in row.items() if key != "object_id"})
