"""The plane of a DICOM frame: Image Plane module (PS3.3 C.7.6.2), or what a projection says of itself."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from pydicom.dataset import Dataset

from s2sw.connectors.dicom.functional_groups import frame_groups
from s2sw.connectors.dicom.header import number, numbers, read_header, strings
from s2sw.connectors.dicom.layout import scan
from s2sw.connectors.geometry import (
    Geometry,
    aspect_of,
    directions_of,
    marks_of,
    opposite,
    spacing_of,
    vector_of,
)
from s2sw.connectors.guard import guarded
from s2sw.schemas.decoding import Limits

_IN_PATIENT, _AT_DETECTOR = "PixelSpacing", ("NominalScannedPixelSpacing", "ImagerPixelSpacing")
_DIRECTION = re.compile("[LRPAHF]{1,3}")


def plane_of(dataset: Dataset, groups: Dataset) -> Geometry:
    """Return the plane of a frame. groups: the attributes that hold for it (``frame_groups``)."""
    spacing = spacing_of(numbers(groups, _IN_PATIENT))
    at_detector = [found for name in _AT_DETECTOR if (found := spacing_of(numbers(dataset, name)))]
    instance = number(dataset, "InstanceNumber")
    known = spacing or (at_detector[0] if at_detector else None)
    plane = Geometry(
        spacing=known,
        in_patient=spacing is not None,
        aspect=aspect_of(known or numbers(dataset, "PixelAspectRatio")),
        instance=instance if instance is not None and math.isfinite(instance) else None,
    )
    directions = directions_of(numbers(groups, "ImageOrientationPatient"))
    if directions is None:
        return replace(plane, marks=_marks(strings(dataset, "PatientOrientation")))
    position = vector_of(numbers(groups, "ImagePositionPatient"))
    along_row, along_col = directions
    return replace(
        plane, along_row=along_row, along_col=along_col, position=position, marks=marks_of(*directions)
    )


def first_plane(data: bytes, limits: Limits) -> Geometry:
    """Return the plane of an object's first frame from its header alone. Raises ScreeningError."""

    def planes() -> Iterator[Geometry]:
        dataset = read_header(scan(data, limits))
        yield plane_of(dataset, frame_groups(dataset, 0))

    return next(guarded(planes()))


def _marks(words: list[str]) -> tuple[str, str, str, str] | None:
    """Return the letters of the edges from Patient Orientation: of the row's, then of the column's end."""
    if len(words) != 2 or not all(_DIRECTION.fullmatch(word) for word in words):
        return None
    right, bottom = words
    return opposite(right), right, opposite(bottom), bottom
