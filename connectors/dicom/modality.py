"""From stored values to modality values: a look-up table, or slope and intercept (PS3.3 C.11.1)."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.header import number
from s2sw.connectors.dicom.tables import Table, read_table
from s2sw.connectors.grey import Levels


@dataclass(frozen=True, slots=True)
class Modality:
    """table: beats slope and intercept. notes: what is done, or why nothing is."""

    table: Table | None = None
    slope: float = 1.0
    intercept: float = 0.0
    notes: tuple[str, ...] = ()

    def __call__(self, values: Levels) -> Levels:
        """Return modality values of stored ones, of any shape."""
        if self.table is not None:
            return self.table(values)
        return values * self.slope + self.intercept if self.rescales else values

    @property
    def rescales(self) -> bool:
        """Whether values are in units of their own by slope and intercept, such as Hounsfield's."""
        return self.notes == ("rescale",)

    @property
    def is_plain(self) -> bool:
        """Whether modality values are the stored ones."""
        return self.table is None and (self.slope, self.intercept) == (1.0, 0.0)


def read_modality(groups: Dataset, little: bool, signed: bool) -> Modality:
    """Return what holds for a frame; of slope and intercept the one that is absent changes nothing.

    signed: whether stored values are. Raises MALFORMED.
    """
    sequence = groups.get("ModalityLUTSequence")
    table = read_table(sequence[0], little, signed) if sequence else None
    if table is not None:
        return Modality(table, notes=("modality_lut",))
    if "RescaleSlope" not in groups and "RescaleIntercept" not in groups:
        return Modality()
    slope, intercept = number(groups, "RescaleSlope", 1.0), number(groups, "RescaleIntercept", 0.0)
    if slope is None or intercept is None or not np.isfinite((slope, intercept)).all() or slope == 0:
        return Modality(notes=("rescale_ignored",))
    return Modality(None, slope, intercept, ("rescale",))
