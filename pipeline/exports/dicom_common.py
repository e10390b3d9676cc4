"""What the DICOM objects of an export have in common: their UIDs, and which frame a slice is."""

import hashlib
import importlib.metadata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.options import Options
from s2sw.schemas.outcomes import Reason, ScreeningError

MANUFACTURER = "s2sw"
SERIES = {"seg": 9301, "heat": 9302, "report": 9303}
"""Series numbers of what is made, away from those that scanners give."""


_SINGLE_FRAME = frozenset(
    {
        uid.ComputedRadiographyImageStorage,
        uid.DigitalXRayImageStorageForPresentation,
        uid.DigitalXRayImageStorageForProcessing,
        uid.DigitalMammographyXRayImageStorageForPresentation,
        uid.DigitalMammographyXRayImageStorageForProcessing,
        uid.DigitalIntraOralXRayImageStorageForPresentation,
        uid.DigitalIntraOralXRayImageStorageForProcessing,
        uid.CTImageStorage,
        uid.MRImageStorage,
        uid.UltrasoundImageStorage,
        uid.SecondaryCaptureImageStorage,
        uid.PositronEmissionTomographyImageStorage,
        uid.VLEndoscopicImageStorage,
        uid.VLMicroscopicImageStorage,
        uid.VLPhotographicImageStorage,
    }
)
"""Classes whose objects have one frame: a reference to one names none (PS3.3 Table 10-3)."""

_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Attributes of patient and study that must be there and may be empty (PS3.3 C.7.1.1, C.7.2.1)."""


def version() -> str:
    """Return the version of this program."""
    return importlib.metadata.version("s2sw")


@contextmanager
def refusing() -> Iterator[None]:
    """Raise ScreeningError (unsupported) where a source is not as the standard wants."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise ScreeningError(Reason.UNSUPPORTED) from error


def completed(source: Dataset) -> Dataset:
    """Return the source with what it should have had itself: empty values, a method of de-identification."""
    for keyword in _TYPE_2:
        if keyword not in source:
            setattr(source, keyword, "")
    methods = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
    if source.get("PatientIdentityRemoved") == "YES" and not any(source.get(name) for name in methods):
        source.DeidentificationMethod = "Not said by the source"  # of type 1C (PS3.3 C.7.1.1)
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


def instance_uid(
    kind: str, sources: list[Dataset], options: Options, cut: float, content: NDArray[np.generic], *parts: str
) -> str:
    """Return the UID of one object: of the sources that it refers to, the detector, and what it shows.

    content: the masks or pixels of the object; parts: what else tells it from others. Objects that differ in
    any of it have different UIDs, for a PACS keeps the first of those that share one (PS3.5 9).
    """
    shown = hashlib.sha256(np.ascontiguousarray(content).tobytes()).hexdigest()
    named = [str(source.SOPInstanceUID) for source in sources]
    detector = (options.fingerprint, options.detector, version(), f"{cut:.6f}")
    return made_uid(kind, "instance", *named, *detector, shown, *parts)


def holds_one_frame(source: Dataset) -> bool:
    """Tell whether objects of the source's class have one frame, so that no reference names it."""
    return source.SOPClassUID in _SINGLE_FRAME


def refuse_frames_without_names(source: Dataset) -> None:
    """Raise ScreeningError for several frames against the class of their object: no reference names one."""
    if int(source.get("NumberOfFrames") or 1) > 1 and holds_one_frame(source):
        raise ScreeningError(Reason.UNSUPPORTED)


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
