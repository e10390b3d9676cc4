"""DICOM Segmentation, binary (PS3.3 A.51): the masks of a series, referring to the frames they lie on.

Beside each lies a Structured Report that lists its regions (``dicom_report``). Masks without a place in the
patient have the report alone: programs that make volumes of segmentations (dcmqi) read none without one.
"""

from collections.abc import Iterator
from dataclasses import replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.dicom_common import (
    MANUFACTURER,
    SERIES,
    completed,
    dicom_bytes,
    frame_of,
    instance_uid,
    masks_of,
    refuse_frames_without_names,
    refusing,
    series_uid,
    version,
)
from s2sw.pipeline.exports.dicom_place import has_place
from s2sw.pipeline.exports.dicom_report import report_of
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import NO_PLACE, Reader
from s2sw.schemas.outcomes import Reason, ScreeningError

EMPTY = "empty_mask"
Sourced = tuple[Case, Dataset]


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write a segmentation and its report for each series, or object of several frames, named by best rank.

    Files of one frame that lie in the same space become one object. Those whose place in the patient is not
    known get a report alone, and are counted as ``NO_PLACE``. Objects that are no DICOM are counted as
    unsupported, slices without a pixel in their masks as ``EMPTY``.
    """
    series: dict[tuple[str, ...], list[Sourced]] = {}
    written = 0
    for whole in cases:
        case = _painted(whole, reader)
        source = reader.dicom(case) if case.findings else None
        if source is None:
            continue
        if "PixelData" in source:
            del source.PixelData  # what is made needs none, and a series has many
        if "NumberOfFrames" in source or not has_place(source, 0):
            written += _alone((case, source), reader, folder, options)
        else:
            series.setdefault(_space(case, source), []).append((case, source))
    for members in series.values():
        written += _series(members, reader, folder, options)
    return written


def _painted(case: Case, reader: Reader) -> Case:
    """Return a case with those of its findings that have a pixel in their mask; others are counted."""
    kept: list[Finding] = []
    for finding in case.findings:
        with reader.counting([finding]):
            if finding.mask().any():
                kept.append(finding)
            else:
                reader.skipped[EMPTY] += 1
    return replace(case, findings=kept)


def _space(case: Case, source: Dataset) -> tuple[str, ...]:
    """Return what files share that can be frames of one object."""
    keywords = (
        "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "FrameOfReferenceUID", "Rows", "Columns",
        "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    )  # fmt: skip
    return (f"{case.findings[0].cut:.6f}", *(str(source.get(keyword)) for keyword in keywords))


def _series(members: list[Sourced], reader: Reader, folder: Folder, options: Options) -> int:
    """Write one object for a series; where that cannot be made, one for each file of it that can."""
    try:
        files = files_of(members, options)
    except Exception:  # noqa: BLE001 - an odd one among them is found, and counted, when they are alone
        return sum(_alone(member, reader, folder, options) for member in members)
    return _kept(files, members, reader, folder)


def _alone(member: Sourced, reader: Reader, folder: Folder, options: Options) -> int:
    """Write the object for one source; one that cannot be made is counted."""
    files: dict[str, bytes] = {}
    with reader.counting(member[0].findings), refusing():
        files = files_of([member], options)
    return _kept(files, [member], reader, folder) if files else 0


def _kept(files: dict[str, bytes], members: list[Sourced], reader: Reader, folder: Folder) -> int:
    for name, data in files.items():
        folder.write(name, data)
    findings = sum(len(case.findings) for case, _ in members)
    if len(files) == 1:  # the report alone
        reader.partly[NO_PLACE] += findings
    return findings


def files_of(members: list[Sourced], options: Options) -> dict[str, bytes]:
    """Return the files for cases: the report and, where all frames have a place, the segmentation."""
    segmentation = segmentation_of(members, options) if all(map(_placed, members)) else None
    report = report_of(members, segmentation, options)
    stem = min((finding for case, _ in members for finding in case.findings), key=lambda one: one.rank).stem
    files = {f"{stem}-report.dcm": dicom_bytes(report)}
    return files if segmentation is None else {f"{stem}.dcm": dicom_bytes(segmentation), **files}


def _placed(member: Sourced) -> bool:
    """Tell whether it is known where the slices of a case lie. Raises ScreeningError as ``frame_of``."""
    case, source = member
    return all(has_place(source, frame_of(finding, source)) for finding in case.findings)


def segmentation_of(members: list[Sourced], options: Options) -> hd.seg.Segmentation:
    """Return the object for the masks of cases, each with the source that it refers to.

    Several are files of one frame of one series. Each frame has a place (``has_place``). Raises what
    highdicom does where a source is not as the standard wants it.
    """
    cut = members[0][0].findings[0].cut
    sources = [completed(source) for _, source in members]
    masks = np.concatenate([masks_of(case, source) for case, source in members])
    first = sources[0]
    refuse_frames_without_names(first)
    segmentation = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=masks if len(sources) > 1 or "NumberOfFrames" in first else masks[0],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(options, cut)],
        series_instance_uid=series_uid("seg", first, options, cut),
        series_number=SERIES["seg"],
        sop_instance_uid=instance_uid("seg", sources, options, cut, masks),
        instance_number=int(first.get("InstanceNumber") or 1),
        manufacturer=MANUFACTURER,
        manufacturer_model_name="s2sw export",
        software_versions=version(),
        device_serial_number=options.fingerprint,
        content_label="ANOMALY",
        content_description="Anomalies found by software, to be reviewed",
        series_description="Anomalies (s2sw)",
    )
    _check_frames(segmentation, masks)
    return segmentation


def _check_frames(segmentation: Dataset, masks: NDArray[np.uint8]) -> None:
    """Raise ScreeningError unless every frame with a pixel is there: odd sources lose some without a word."""
    if int(segmentation.NumberOfFrames) != masks.any((1, 2)).sum():
        raise ScreeningError(Reason.UNSUPPORTED)


def _description(options: Options, cut: float) -> hd.seg.SegmentDescription:
    algorithm = hd.AlgorithmIdentificationSequence(
        name=options.detector[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=version(),
        parameters={"threshold": f"{cut:.6g}", "fingerprint": options.fingerprint},
    )
    return hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="Anomaly",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.MorphologicallyAbnormalStructure,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
