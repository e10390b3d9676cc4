"""Where a frame of a DICOM object lies in the patient, and how large its pixels are there."""

from typing import Any

from pydicom import Dataset

_NEEDED = (
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness",
)  # fmt: skip
"""What places a frame, and its pixels, in the patient."""

_ATTRIBUTES = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
}
"""Of the Image Plane module (PS3.3 C.7.6.2), by the functional group that has them in objects of several
frames (C.7.6.16.2)."""


def has_place(source: Dataset, frame: int) -> bool:
    """Tell whether it is known where all pixels of a frame lie in the patient. frame: 0 is the first."""
    place = place_of(source, frame)
    return all(place.get(keyword) for keyword in _NEEDED)


def place_of(source: Dataset, frame: int) -> dict[str, Any]:
    """Return Frame of Reference, position, orientation, spacing and thickness of a frame, as far as known.

    frame: 0 is the first. Spacings at a detector (Imager Pixel Spacing) are none in the patient.
    """
    keywords = ("FrameOfReferenceUID", "PositionReferenceIndicator")
    found = {keyword: source[keyword].value for keyword in keywords if keyword in source}
    for group, attributes in _ATTRIBUTES.items():
        for part in (source, *_items(source, group, frame)):
            found |= {name: part[name].value for name in attributes if part.get(name)}
    if "FrameOfReferenceUID" in found:
        found.setdefault("PositionReferenceIndicator", "")  # of type 2 (C.7.4.1)
    return found


def _items(source: Dataset, group: str, frame: int) -> list[Dataset]:
    """Return the items of a functional group that hold for a frame: the shared one, and its own."""
    shared = source.get("SharedFunctionalGroupsSequence") or []
    own = (source.get("PerFrameFunctionalGroupsSequence") or [])[frame : frame + 1]
    return [part[group][0] for part in (*shared, *own) if part.get(group)]
