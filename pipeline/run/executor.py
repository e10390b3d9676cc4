"""What runs the stages of a pass: Ray, or a few processes of this machine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import ClassVar, Protocol

import pyarrow as pa

from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.redaction import StageError, describe
from s2sw.pipeline.stages.detect_settings import DetectSettings

OUT_OF_MEMORY = "memory ran out and processes were killed for it; free some, or use fewer --workers"


class RunFailedError(Exception):
    """The run cannot go on; what is whole is committed, and the same command continues."""


LostGroup = Callable[[str], None]
"""Told when a group is lost, with the cause in our own words. What it raises ends the pass."""


class DecodeStep(Protocol):
    """What ``DecodeStage`` is for a pass."""

    @property
    def todo(self) -> Todo:
        """The objects of the pass."""

    def over(self, todo: Todo) -> "DecodeStep":
        """Return the same step over another to-do list."""

    def __call__(self, groups: pa.Table) -> Iterator[pa.Table]:
        """Turn numbers of groups into tables of schema DECODED."""


class Executor(ABC):
    """A context manager that is ready for passes while it is entered."""

    name: ClassVar[str]

    @abstractmethod
    def __enter__(self) -> "Executor":
        """Start what passes need. Raises RunFailedError."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """End it, and leave nothing behind."""

    @abstractmethod
    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        """Yield result tables (schema DETECTED) of all objects of ``decode.todo`` in any order.

        number: of the pass, 0 for the main one. What a process had in hand when it died is missing from the
        results, and ``lost`` is told: the caller compares. Raises RunFailedError where nothing can be had.
        """


def words_of(error: BaseException) -> str:
    """Return what may be said of an exception that ended a task: its kind, and our own words if it has some.

    Ray wraps what a task raised; the text of anything but our own ``StageError`` may quote an object.
    """
    cause = getattr(error, "cause", None) or error
    if type(cause).__name__ == "OutOfMemoryError":
        return OUT_OF_MEMORY
    return str(cause) if isinstance(cause, StageError) else describe(cause)
