"""What every layout is read into: a list of pictures with labels and masks."""

from collections.abc import Iterator
from dataclasses import dataclass

from s2sw.schemas.errors import UserError
from s2sw.schemas.shown import printable


class DataSetError(UserError):
    """A data set cannot be used; the message names the file and the row, and says what to do, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture.

    group: the class that it belongs to (``bottle``). name: unique within the data set, for people to read.
    image, mask: a path or ``s3://`` address; mask is None for a picture without one.
    anomalous: None where the mask decides.
    """

    group: str
    name: str
    image: str
    mask: str | None
    anomalous: bool | None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A named list of samples, class by class."""

    name: str
    samples: list[Sample]

    def groups(self) -> Iterator[tuple[str, list[Sample]]]:
        """Yield the classes by name, each with its samples in the order of the list."""
        for group in sorted({sample.group for sample in self.samples}):
            yield group, [sample for sample in self.samples if sample.group == group]
