"""What every format is told, and what every format is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from s2sw.pipeline.exports.cases import Case
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal, Revealing
from s2sw.schemas.tables import Row


def own_number(row: Row) -> int:
    """Return the number of a slice in its object, from 1 on."""
    return int(row["slice_index"]) + 1


@dataclass(frozen=True)
class Options:
    """What holds for a whole export. detector: its name and prompts, for people; trained: whether it was.

    byte_order_mark: at the start of text tables. number_of: the place of a row of ``Case`` among the slices
    of its series, from 1 on.
    """

    reveals: frozenset[Reveal]
    fingerprint: str
    detector: str
    trained: bool
    threshold: float | None = None
    byte_order_mark: bool = False
    number_of: Callable[[Row], int] = own_number

    def name_of(self, case: Case) -> str:
        """Return how people are told which object this is: its address if that may be said, else its id."""
        return case.uri if Reveal.NAMES in self.reveals and case.uri else case.wanted.object_id


Write = Callable[[Iterator[Case], Reader, Folder, Options], int]
"""Write the files of an export and return how many findings they hold."""


@dataclass(frozen=True)
class Format:
    """One format: what it reveals, the function that writes it, and a package that it needs beyond ours."""

    revealing: Revealing
    write: Write
    needs: str | None = None
