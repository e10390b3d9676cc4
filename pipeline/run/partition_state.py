"""What a run and the writers of its partitions tell each other."""

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.config import PartSettings
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row

LINES = 100
"""Of the log of a writer, that its run is told."""
PARTITION = "partition"
"""Extra of the records that a run makes of what its writers said."""
_LISTENS: ContextVar["WriterLog"] = ContextVar("writer's log")


@dataclass(frozen=True)
class PartitionTask:
    """What the writer of a partition is told.

    number: of the partition. term: 1 for its first writer, and so on. joins: a first pass over the list is
    under way. constants, keep_uri: as of ``Writer``. work: a folder for lists of passes. run_lease: name of
    the run's.
    """

    number: int
    todo: Todo
    output: OutputFolder
    parts: PartSettings
    constants: Row
    keep_uri: bool
    work: Path
    run_lease: str
    deadline: float | None
    give_up_after: int
    storage: StorageSettings
    private: bool
    term: int = 1
    joins: bool = True

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return str(self.constants["run_id"])


@dataclass(frozen=True)
class WantedPass:
    """A pass that a partition waits for. base: it is the first over its whole list. serial: counts them."""

    todo: Todo
    number: int
    serial: int
    base: bool


@dataclass(frozen=True)
class Failure:
    """Why a partition ended early, in our own words."""

    words: str
    lease: bool = False


@dataclass(frozen=True)
class Said:
    """A record of our own log: level and message."""

    level: int
    message: str


class WriterLog(logging.Handler):
    """Keeps what this package warns of in the threads of a writer, for the log of the run."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: tuple[Said, ...] = ()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what is said in this block, and in threads that get its context."""
        before = _LISTENS.set(self)
        try:
            yield
        finally:
            _LISTENS.reset(before)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        relayed = hasattr(record, PARTITION)
        if len(self.said) < LINES and not relayed and _LISTENS.get(None) is self:
            self.said = (*self.said, Said(record.levelno, record.getMessage()))


@dataclass(frozen=True)
class PartitionState:
    """How far a partition is. uncommitted, oldest: as of ``Writer.uncommitted``; parts: that it committed.

    seconds: its share of the processor time that its process took since it asked for its first pass. said:
    its warnings.
    """

    tally: Tally = field(default_factory=Tally)
    uncommitted: int = 0
    oldest: float = 0.0
    parts: int = 0
    seconds: float = 0.0
    wanted: WantedPass | None = None
    ended: bool = False
    failure: Failure | None = None
    said: tuple[Said, ...] = ()
