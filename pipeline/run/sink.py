"""What is done with outcomes: they are counted and written."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.listing.todo import TodoReader
from s2sw.pipeline.run.progress import Tally
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.outcomes import Status


class WritingSink:
    """The sink of passes whose rows a writer of this process writes.

    held: entered around each object and each commit, which are not to be interrupted. ticked: called after
    each table. say: tells what is being done.
    """

    def __init__(
        self,
        writer: Writer,
        tally: Tally,
        ticked: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
        held: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._writer, self._tally, self._ticked, self._held = writer, tally, ticked, held
        self.say = say

    def finish(self, finished: FinishedObject, reader: TodoReader) -> None:
        """Count an object, and write it unless it is deferred."""
        with self._held():
            self._tally.add(finished)
            if finished.status is not Status.DEFERRED:
                object_id, stored = reader.row(finished.number)
                self._writer.add(finished, object_id, stored)

    def tick(self) -> None:
        """Commit what is due."""
        with self._held():
            self._writer.commit_if_due()
        self._ticked()
