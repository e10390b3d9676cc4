"""Stages that cost nothing, to see what the pipeline around them costs, and a watch over memory."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.stages.wire import END, decoded_table

if TYPE_CHECKING:
    from tests.support.null_detector import NullDetector

SIDE = 16
BLOCK_ROWS = 512


def load_null() -> "NullDetector":
    """Load it in the process that runs it: a driver, whose memory is measured, imports no torch."""
    from tests.support.null_detector import NullDetector

    return NullDetector()


@dataclass(frozen=True)
class NullDecode:
    """Gives every object some slices of SIDE x SIDE without reading anything."""

    todo: Todo
    slices: int = 1

    def over(self, todo: Todo) -> "NullDecode":
        return replace(self, todo=todo)

    def __call__(self, groups: pa.Table) -> Iterator[pa.Table]:
        for group in groups.column("id").to_pylist():
            objects = self.todo.objects_of(group)
            rows = (row for number, stored in objects for row in self._rows(number, stored))
            while block := list(itertools.islice(rows, BLOCK_ROWS)):
                yield decoded_table(block)

    def _rows(self, number: int, stored: StoredObject) -> Iterator[dict[str, Any]]:
        place = {
            "plane": "image",
            "rows": SIDE,
            "cols": SIDE,
            "pixels": np.zeros((1, SIDE, SIDE, 3), np.uint8),
        }
        codes = {"tiles": [], "modality": "", "body_part": "", "applied": ""}
        for index in range(self.slices):
            yield {"object": number, "slice_index": index, **place, **codes}
        end = {"status": "screened", "n_slices": self.slices, "decoder": "null", "attempts": 1}
        yield {"object": number, "slice_index": END, **end, "decode_seconds": 0.0}


class MemoryWatch:
    """Samples the resident memory of this process and, with workers, of everything it started."""

    def __init__(self, seconds: float = 0.5, workers: bool = True) -> None:
        self.driver = self.largest_worker = self.shared = 0
        self._seconds, self._workers = seconds, workers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def __str__(self) -> str:
        mib = 2**20
        return (
            f"driver {self.driver / mib:.0f} MiB, largest worker {self.largest_worker / mib:.0f} MiB, "
            f"shared memory {self.shared / mib:.0f} MiB"
        )

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(self._seconds):
            self.driver = max(self.driver, _own(me))
            for process in me.children(recursive=True) if self._workers else ():
                try:
                    # what a process has touched of the object store; no single one sees all of it
                    self.shared = max(self.shared, process.memory_info().shared)
                    if process.name().startswith("ray::"):
                        self.largest_worker = max(self.largest_worker, _own(process))
                except psutil.NoSuchProcess:
                    continue


def _own(process: psutil.Process) -> int:
    """Return resident bytes that are not shared: what lies in the object store is counted once, there."""
    info = process.memory_info()
    return int(info.rss - info.shared)
