"""What the DICOM objects of an export have in common: their UIDs, and which frame a slice is."""

import hashlib
import importlib.metadata
import uuid
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.options import Options
from s2sw.schemas.outcomes import Reason, ScreeningError

MANUFACTURER = "s2sw"
SERIES = {"seg": 9301, "heat": 9302}
"""Series numbers of what is made, away from those that scanners give."""


_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of patient and study that must be there and may be empty (PS3.3 C.7.1.1, C.7.2.1)."""


def version() -> str:
    """Return the version of this program."""
    return importlib.metadata.version("s2sw")


def completed(source: Dataset) -> Dataset:
    """Return the source with empty values where it should have been so itself."""
    for keyword in _TYPE_2:
        if keyword not in source:
            setattr(source, keyword, "")
    return source


def made_uid(*parts: str) -> str:
    """Return a UID that depends on the parts alone, so that the same export made again is the same object.

    Of the form 2.25 with a UUID (PS3.5 B.2).
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=4).int}"


def series_uid(kind: str, source: Dataset, options: Options, cut: float) -> str:
    """Return the UID of the one series that the objects of this kind for a source's series make up."""
    return made_uid(kind, str(source.SeriesInstanceUID), options.fingerprint, f"{cut:.6f}")


def instance_uid(kind: str, source: Dataset, options: Options, cut: float, *parts: str) -> str:
    """Return the UID of one object made of a source."""
    return made_uid(kind, "instance", str(source.SOPInstanceUID), options.fingerprint, f"{cut:.6f}", *parts)


def frame_of(finding: Finding, source: Dataset) -> int:
    """Return the frame (0 is the first) that a slice shows.

    Each frame gave the same number of slices: one, or more with fixed CT windows. Raises ScreeningError where
    the slices are no frames, or have another size.
    """
    frames = int(source.get("NumberOfFrames") or 1)
    row = finding.row
    if row["n_slices"] % frames or (row["rows"], row["cols"]) != (source.Rows, source.Columns):
        raise ScreeningError(Reason.UNSUPPORTED)
    return int(row["slice_index"] // (row["n_slices"] // frames))


def masks_of(case: Case, source: Dataset) -> NDArray[np.uint8]:
    """Return the masks of all frames, uint8 (frames, rows, cols), 1 inside; those of one frame united."""
    frames = int(source.get("NumberOfFrames") or 1)
    masks = np.zeros((frames, source.Rows, source.Columns), np.uint8)
    for finding in case.findings:
        masks[frame_of(finding, source)] |= finding.mask()
    return masks


def dicom_bytes(dataset: Dataset) -> bytes:
    """Return a DICOM file (PS3.10)."""
    sink = BytesIO()
    dataset.save_as(sink, enforce_file_format=True)
    return sink.getvalue()
