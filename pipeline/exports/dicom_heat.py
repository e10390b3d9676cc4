"""Heat maps for PACS: DICOM Secondary Capture (PS3.3 A.8.1) of a slice with the map over it, in colour."""

from collections.abc import Iterator

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.dicom_common import (
    MANUFACTURER,
    SERIES,
    completed,
    dicom_bytes,
    frame_of,
    holds_one_frame,
    instance_uid,
    refusing,
    series_uid,
)
from s2sw.pipeline.exports.dicom_place import place_of
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.imaging.overlays import laid_over
from s2sw.schemas.tables import rank_of


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write one object a finding of a DICOM object, named by rank, object and slice."""
    written = 0
    for case in cases:
        source = reader.dicom(case)
        if source is None:
            continue
        for finding, pixels in reader.pictures(case):
            data: bytes | None = None
            with reader.counting([finding]), refusing():
                data = dicom_bytes(capture_of(finding, pixels, source, options))
            if data is not None:
                folder.write(f"{finding.stem}.dcm", data)
                written += 1
    return written


def capture_of(
    finding: Finding, pixels: NDArray[np.uint8], source: Dataset, options: Options
) -> hd.sc.SCImage:
    """Return the object that shows a slice of a source; pixels: uint8 (rows, cols) or (rows, cols, 3)."""
    frame, number = frame_of(finding, source), options.number_of(finding.row)
    shown = np.asarray(laid_over(pixels, *finding.drawn()))
    place = place_of(source, frame)
    capture = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=completed(source),
        pixel_array=shown,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),  # replaced below by the source's own
        pixel_spacing=place.get("PixelSpacing"),
        series_instance_uid=series_uid("heat", source, options, finding.cut),
        series_number=SERIES["heat"],
        sop_instance_uid=instance_uid(
            "heat", [source], options, finding.cut, shown, str(finding.row["slice_index"]), str(number)
        ),
        instance_number=number,
        manufacturer=MANUFACTURER,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    # of type 2C (PS3.3 C.7.6.1.1.1): empty where the source does not say
    capture.add_new("PatientOrientation", "CS", source.get("PatientOrientation"))
    capture.SeriesDescription = "Anomaly heat map (s2sw), not for diagnosis"
    capture.ImageComments = f"score {rank_of(finding.row):.4f}, {options.detector}"[:10240]
    # of type 2C (PS3.3 C.7.3.1): whether what is shown is one of a pair is known to nobody here
    capture.Laterality = source.get("Laterality", "")
    for keyword, value in place.items():
        setattr(capture, keyword, value)
    if "BurnedInAnnotation" in source:
        capture.BurnedInAnnotation = source.BurnedInAnnotation
    capture.SourceImageSequence = Sequence([_reference(source, frame)])
    return capture


def _reference(source: Dataset, frame: int) -> Dataset:
    """Return the item that names the source and its frame (PS3.3 Table 10-3)."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    if "NumberOfFrames" in source and not holds_one_frame(source):
        item.ReferencedFrameNumber = frame + 1
    return item
