"""What the slices of a DICOM frame were made from: its samples and their way to modality values."""

import numpy as np
from pydicom.dataset import Dataset

from s2sw.connectors.dicom.header import ImageHeader, text
from s2sw.connectors.dicom.modality import read_modality
from s2sw.connectors.grey import Frame, as_levels
from s2sw.connectors.slices import Original

_UNITS = frozenset(("HU", "OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"))
"""Rescale Type (PS3.3 C.11.1.1.2); US stands for none."""


def original_of(
    frame: Frame, header: ImageHeader, dataset: Dataset, groups: Dataset, little: bool
) -> Original:
    """Return the original of a frame. frame: its samples; groups: its attributes (``frame_groups``)."""
    if frame.ndim == 3 or not header.photometric.startswith("MONOCHROME"):
        return Original()
    # as GreyPipeline has it
    inverted = header.photometric == "MONOCHROME1" or text(dataset, "PresentationLUTShape") == "INVERSE"
    modality = read_modality(groups, little, header.signed)
    if modality.table is not None:
        values = modality.table(as_levels(frame)).astype(np.float32)
        return Original(values, inverted=inverted)
    slope, intercept = (modality.slope, modality.intercept) if modality.rescales else (1.0, 0.0)
    return Original(frame, slope, intercept, _unit(groups, modality.rescales), inverted)


def _unit(groups: Dataset, rescales: bool) -> str:
    """Return the unit of modality values: what the object says, or Hounsfield units of a rescaled CT."""
    said = text(groups, "RescaleType")
    if said in _UNITS:
        return said
    return "HU" if rescales and not said and text(groups, "Modality") == "CT" else ""
