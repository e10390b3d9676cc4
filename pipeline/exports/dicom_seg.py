"""DICOM Segmentation, binary (PS3.3 A.51): the masks of an object, referring to the frames they lie on."""

from collections.abc import Iterator
from dataclasses import replace

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes

from s2sw.pipeline.exports.cases import Case
from s2sw.pipeline.exports.dicom_common import (
    MANUFACTURER,
    SERIES,
    completed,
    dicom_bytes,
    instance_uid,
    masks_of,
    series_uid,
    version,
)
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.schemas.outcomes import Reason, ScreeningError

EMPTY = "empty_mask"


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write one object for each DICOM object of the results, named by rank and id.

    Objects that are no DICOM are counted as unsupported, as are those whose frames have no place in space:
    several frames without a Frame of Reference cannot be segmented in one object. One without a pixel in its
    masks is counted as such.
    """
    written = 0
    for number, whole in enumerate(cases, start=1):
        painted, readable = False, []
        for finding in whole.findings:
            with reader.counting([finding]):
                painted |= bool(finding.mask().any())
                readable.append(finding)
        if not painted:
            reader.skipped[EMPTY] += len(readable)
            continue
        case = replace(whole, findings=readable)
        source = reader.dicom(case)
        data: bytes | None = None
        if source is not None:
            with reader.counting(case.findings):
                data = dicom_bytes(segmentation_of(case, source, options, number))
        if data is not None:
            folder.write(f"{min(case.findings, key=lambda f: f.rank).stem}.dcm", data)
            written += len(case.findings)
    return written


def segmentation_of(case: Case, source: Dataset, options: Options, number: int) -> hd.seg.Segmentation:
    """Return the object for the masks of a case, the number-th of its series; source: what it refers to.

    Raises what highdicom does where the source is not as the standard wants it.
    """
    cut = case.findings[0].cut
    masks = masks_of(case, source)
    segmentation = hd.seg.Segmentation(
        source_images=[completed(source)],
        pixel_array=masks if "NumberOfFrames" in source else masks[0],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(options, cut)],
        series_instance_uid=series_uid("seg", source, options, cut),
        series_number=SERIES["seg"],
        sop_instance_uid=instance_uid("seg", source, options, cut),
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="s2sw export",
        software_versions=version(),
        device_serial_number=options.fingerprint,
        content_label="ANOMALY",
        content_description="Anomalies found by software, to be reviewed",
        series_description="Anomalies (s2sw)",
    )
    # of several frames in an object of a single-frame class highdicom takes the first alone
    if int(segmentation.NumberOfFrames) != masks.any((1, 2)).sum():
        raise ScreeningError(Reason.UNSUPPORTED)
    _drop_unknown_measures(segmentation)
    return segmentation


def _drop_unknown_measures(segmentation: Dataset) -> None:
    """Remove a Pixel Measures item that lacks spacing or thickness, as those of projections do.

    Without a Frame of Reference it need not be there (PS3.3 A.51.5), and readers such as highdicom refuse
    it without either; the spacing remains that of the source, which is referred to.
    """
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    if "PixelMeasuresSequence" in shared:
        measures = shared.PixelMeasuresSequence[0]
        if "PixelSpacing" not in measures or "SliceThickness" not in measures:
            del shared.PixelMeasuresSequence


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
