"""DICOM Structured Report of what was found: TID 1500 Measurement Report (PS3.16), which PACS show in lists.

Each connected region of a mask is a planar region of interest (TID 1410): the box around it on its source
image, its area and its score, and which detector measured them.
"""

from collections.abc import Iterator

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.dicom_common import (
    MANUFACTURER,
    SERIES,
    completed,
    frame_of,
    holds_one_frame,
    instance_uid,
    made_uid,
    masks_of,
    refuse_frames_without_names,
    series_uid,
    version,
)
from s2sw.pipeline.exports.dicom_place import place_of
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.regions import Region, regions

SCORE = Code("ANOMALY_SCORE", "99S2SW", "Anomaly score")
"""No standard code says so: the highest value of the anomaly map in the region, 0..1."""
PIXELS = Code("PIXELS", "99S2SW", "Area in pixels")
PIXEL_UNIT = Code("{pixels}", "UCUM", "pixels")


def report_of(
    members: list[tuple[Case, Dataset]], segmentation: Dataset | None, options: Options
) -> hd.sr.ComprehensiveSR:
    """Return the report on these cases, each with the source that it refers to.

    segmentation: what was made of them, if it could be. Raises ScreeningError and what highdicom does where
    a source is not as the standard wants it.
    """
    cut = members[0][0].findings[0].cut
    sources = [completed(source) for _, source in members]
    first = sources[0]
    refuse_frames_without_names(first)
    about = _about(members, sources, segmentation, options)
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=made_uid("device", options.fingerprint, version()),
        name=options.detector[:64],
        manufacturer_name=MANUFACTURER,
        model_name="s2sw export",
        serial_number=options.fingerprint,
    )
    context = hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device)
    )
    report = hd.sr.MeasurementReport(
        observation_context=context,
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=list(_measured(members, about, options)),
        title=codes.DCM.ImagingMeasurementReport,
    )
    named = ["alone"] if segmentation is None else []
    return hd.sr.ComprehensiveSR(
        evidence=sources if segmentation is None else [*sources, segmentation],
        content=report[0],
        series_instance_uid=series_uid("report", first, options, cut),
        series_number=SERIES["report"],
        sop_instance_uid=made_uid("report", "instance", about, *named),
        instance_number=int(first.get("InstanceNumber") or 1),
        manufacturer=MANUFACTURER,
        series_description="Anomalies (s2sw), report",
        is_complete=True,
    )


def _about(
    members: list[tuple[Case, Dataset]],
    sources: list[Dataset],
    segmentation: Dataset | None,
    options: Options,
) -> str:
    """Return the UID of the segmentation, or what that of one would be."""
    if segmentation is not None:
        return str(segmentation.SOPInstanceUID)
    masks = np.concatenate([masks_of(case, source) for case, source in members])
    return instance_uid("seg", sources, options, members[0][0].findings[0].cut, masks)


def _measured(
    members: list[tuple[Case, Dataset]], about: str, options: Options
) -> Iterator[hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    number = 0
    for case, source in members:
        for finding in case.findings:
            for region in regions(finding):
                number += 1
                uid = made_uid("region", about, str(number))
                yield _group(
                    finding, source, region, hd.sr.TrackingIdentifier(uid, f"Anomaly {number}"), options
                )


def _group(
    finding: Finding, source: Dataset, region: Region, tracking: hd.sr.TrackingIdentifier, options: Options
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    algorithm = hd.sr.AlgorithmIdentification(
        name=options.detector[:64],
        version=version(),
        parameters=[f"threshold={finding.cut:.6g}", f"fingerprint={options.fingerprint}"],
    )
    frame = frame_of(finding, source)
    score = hd.sr.Measurement(name=SCORE, value=round(region.score, 6), unit=codes.UCUM.NoUnits)
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_region=_outline(region, source, frame),
        finding_type=codes.SCT.MorphologicallyAbnormalStructure,
        algorithm_id=algorithm,
        measurements=[_area(region, source, frame), score],
    )


def _outline(region: Region, source: Dataset, frame: int) -> hd.sr.ImageRegion:
    """Return the box around a region; the corner of the image's first pixel is 0, 0 (PS3.3 C.18.6.1.1)."""
    left, top, width, height = region.box
    corners = [
        (left, top),
        (left + width, top),
        (left + width, top + height),
        (left, top + height),
        (left, top),
    ]
    named = None if holds_one_frame(source) or "NumberOfFrames" not in source else [frame + 1]
    image = hd.sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID, named)
    return hd.sr.ImageRegion(hd.sr.GraphicTypeValues.POLYLINE, np.array(corners, np.float64), image)


def _area(region: Region, source: Dataset, frame: int) -> hd.sr.Measurement:
    """Return a region's area in mm2, or in pixels where their size in the patient is not known."""
    spacing = place_of(source, frame).get("PixelSpacing")
    if not spacing:
        return hd.sr.Measurement(name=PIXELS, value=region.pixels, unit=PIXEL_UNIT)
    area = region.pixels * float(spacing[0]) * float(spacing[1])
    return hd.sr.Measurement(name=codes.SCT.Area, value=round(area, 4), unit=codes.UCUM.SquareMillimeter)
