"""DICOM Segmentations and captures, read again by highdicom and pydicom."""

# mypy: disable-error-code="attr-defined"

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from s2sw.pipeline.exports import dicom_seg
from s2sw.pipeline.exports.cases import Case
from s2sw.pipeline.exports.dicom_common import dicom_bytes, masks_of, version
from s2sw.pipeline.exports.dicom_heat import capture_of
from s2sw.pipeline.exports.dicom_report import SCORE, report_of
from s2sw.pipeline.exports.dicom_seg import files_of, segmentation_of
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.overlays import laid_over
from s2sw.pipeline.results.reading import full_map, mask
from s2sw.schemas.outcomes import ScreeningError
from tests.pipeline.exports.dicom_cases import OPTIONS, Drawn, cases_of, ct_series, findings, source
from tests.pipeline.exports.exported import export, rows_of
from tests.support.screened import Screened


def read_segmentation(data: bytes) -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(data))


def test_a_segmentation_is_the_mask_and_refers_to_its_source(private_archive: Screened, folder: Path) -> None:
    exported = export(private_archive, "dicom-seg", folder, Reveal.PATIENT, top=None, threshold=0.3)
    path, report = sorted(folder.iterdir(), key=lambda path: "report" in path.name)
    assert pydicom.dcmread(report).SOPClassUID == pydicom.uid.ComprehensiveSRStorage
    assert exported.written == 1
    assert set(exported.skipped) <= {"unsupported", "empty_mask"}
    assert exported.skipped.total() == len(rows_of(private_archive)) - 1
    found = read_segmentation(path.read_bytes())
    original = source("CT_small.dcm")
    row = rows_of(private_archive)[private_archive.ids["ward/ct.dcm"], 0]
    np.testing.assert_array_equal(np.squeeze(found.pixel_array), mask(row, 0.3))
    assert found.segmentation_type is hd.seg.SegmentationTypeValues.BINARY
    (reference,) = found.get_source_image_uids()
    study, series, instance = original.StudyInstanceUID, original.SeriesInstanceUID, original.SOPInstanceUID
    assert reference == (study, series, instance)
    assert (found.StudyInstanceUID, found.PatientName) == (study, original.PatientName)
    assert found.SeriesInstanceUID != series
    algorithm = found.get_segment_description(1).algorithm_identification
    assert algorithm is not None
    assert (algorithm.parameters or {})["threshold"] == "0.3"


def test_a_capture_is_the_overlay_at_full_size(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "dicom-heat", folder, Reveal.PATIENT, Reveal.PIXELS, top=None)
    (path,) = folder.iterdir()
    found, original = pydicom.dcmread(path), source("CT_small.dcm")
    row = rows_of(private_archive)[private_archive.ids["ward/ct.dcm"], 0]
    assert found.pixel_array.shape == (row["rows"], row["cols"], 3)
    plain = laid_over(np.zeros((row["rows"], row["cols"]), np.uint8), full_map(row), mask(row))
    np.testing.assert_array_equal((found.pixel_array == 255).all(-1), (np.asarray(plain) == 255).all(-1))
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert found.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert (found.StudyInstanceUID, found.PatientID) == (original.StudyInstanceUID, original.PatientID)
    assert found.PatientOrientation == ""  # the source does not say, so neither does the capture


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "SC_rgb.dcm", "JPEG-lossy.dcm"])
def test_captures_of_many_kinds_refer_to_their_sources(name: str) -> None:
    dataset = source(name)
    case = findings(dataset)
    pixels = np.zeros((dataset.Rows, dataset.Columns), np.uint8)
    shown = pydicom.dcmread(BytesIO(dicom_bytes(capture_of(case.findings[0], pixels, dataset, OPTIONS))))
    assert shown.pixel_array.shape == (*pixels.shape, 3)


def test_masks_lie_on_their_frames() -> None:
    dataset = source("eCT_Supplemental.dcm")
    case = findings(dataset, indices=(1,))
    found = read_segmentation(dicom_bytes(segmentation_of([(case, dataset)], OPTIONS)))
    uid = dataset.SOPInstanceUID
    frames = found.get_pixels_by_source_frame(uid, [1, 2], assert_missing_frames_are_empty=True)
    assert not frames[0].any()
    np.testing.assert_array_equal(np.squeeze(frames[1]), case.findings[0].mask())


@pytest.mark.parametrize(
    "lost", ["FrameOfReferenceUID", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"]
)
def test_without_a_place_in_the_patient_there_is_a_report_alone(lost: str) -> None:
    whole, dataset = source("CT_small.dcm"), source("CT_small.dcm")
    delattr(dataset, lost)
    case = findings(dataset)
    with_both, alone = (files_of([(case, one)], OPTIONS) for one in (whole, dataset))
    assert [name for name in with_both if name not in alone] == [f"{case.findings[0].stem}.dcm"]
    (data,) = alone.values()
    report = pydicom.dcmread(BytesIO(data))
    assert report_groups(report) == 1
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (named,) = (item for one in study.ReferencedSeriesSequence for item in one.ReferencedSOPSequence)
    assert named.ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    (other,) = (data for name, data in with_both.items() if name in alone)
    assert report.SOPInstanceUID != pydicom.dcmread(BytesIO(other)).SOPInstanceUID


def test_frames_without_a_place_are_named_in_a_report() -> None:
    dataset = source("examples_ybr_color.dcm")  # cine ultrasound
    (data,) = files_of([(findings(dataset, indices=(0, 3)), dataset)], OPTIONS).values()
    groups = hd.sr.ComprehensiveSR.from_dataset(pydicom.dcmread(BytesIO(data))).content
    images = [group.roi.ContentSequence[0] for group in groups.get_planar_roi_measurement_groups()]
    assert [one.ReferencedSOPSequence[0].ReferencedFrameNumber for one in images] == [1, 4]


def test_frames_that_no_reference_can_name_are_refused() -> None:
    dataset = source("SC_rgb_2frame.dcm")
    with pytest.raises(ScreeningError, match="unsupported"):
        files_of([(findings(dataset, indices=(0, 1)), dataset)], OPTIONS)


def test_an_object_without_a_mask_has_no_segmentation(private_archive: Screened, folder: Path) -> None:
    exported = export(private_archive, "dicom-seg", folder, Reveal.PATIENT, top=None, threshold=1.0)
    assert (exported.written, exported.skipped["empty_mask"], folder.exists()) == (
        0,
        len(rows_of(private_archive)),
        False,
    )


def test_windows_of_one_frame_are_united() -> None:
    dataset = source("SC_rgb_2frame.dcm")
    case = findings(dataset, per_frame=4, indices=(4, 6))
    masks = masks_of(case, dataset)
    assert not masks[0].any()
    np.testing.assert_array_equal(masks[1] == 1, case.findings[0].mask() | case.findings[1].mask())


def test_slices_that_are_no_frames_are_refused() -> None:
    dataset = source("SC_rgb_2frame.dcm")
    case = findings(dataset)
    case.findings[0].row["n_slices"] = 3
    with pytest.raises(ScreeningError, match="unsupported"):
        masks_of(case, dataset)


def test_the_same_export_again_is_the_same_object_and_another_threshold_another() -> None:
    dataset = source("CT_small.dcm")
    case = findings(dataset)
    other = Case([replace(case.findings[0], threshold=0.25)], None, "dicom")
    first, again, another = (
        segmentation_of([(one, dataset)], OPTIONS).SOPInstanceUID for one in (case, case, other)
    )
    assert first == again != another
    assert pydicom.uid.UID(first).is_valid


def test_attributes_that_may_be_empty_may_be_missing_in_the_source() -> None:
    dataset = source("CT_small.dcm")
    del dataset.PatientID, dataset.AccessionNumber
    dataset.PatientIdentityRemoved = "YES"
    found = read_segmentation(dicom_bytes(segmentation_of([(findings(dataset), dataset)], OPTIONS)))
    assert found.PatientID == ""
    assert found.DeidentificationMethod == "Not said by the source"


class FromMemory:
    """A reader of sources that are given; it counts as the real one."""

    def __init__(self, sources: list[Dataset]) -> None:
        self.skipped: Counter[str] = Counter()
        self.partly: Counter[str] = Counter()
        self._sources = {f"id{number}": source for number, source in enumerate(sources)}

    def dicom(self, case: Case) -> Dataset:
        return deepcopy(self._sources[case.wanted.object_id])

    counting = Reader.counting


@pytest.mark.parametrize("oblique", [False, True])
def test_a_series_of_single_frames_is_one_segmentation_of_all(tmp_path: Path, oblique: bool) -> None:
    sources = ct_series(5, oblique)
    reader = FromMemory(sources)
    assert dicom_seg.write(cases_of(sources), reader, Folder(tmp_path), OPTIONS) == 5  # type: ignore[arg-type]
    assert reader.skipped == {}
    path, report = sorted(tmp_path.iterdir(), key=lambda path: "report" in path.name)
    found = read_segmentation(path.read_bytes())
    assert found.NumberOfFrames == 5
    uids = [dataset.SOPInstanceUID for dataset in sources]
    frames = found.get_pixels_by_source_instance(uids)
    for frame, case in zip(np.squeeze(frames), cases_of(sources), strict=True):
        np.testing.assert_array_equal(frame == 1, case.findings[0].mask())
    volume = found.get_volume()
    assert volume.spacing == pytest.approx((5.0, *sources[0].PixelSpacing))
    for dataset in sources:
        at = volume.map_reference_to_indices(np.array([dataset.ImagePositionPatient], float))
        assert at[0][1:] == pytest.approx([0, 0], abs=1e-3)
    assert report_groups(pydicom.dcmread(report)) == 5


def report_groups(report: Dataset) -> int:
    read = hd.sr.ComprehensiveSR.from_dataset(report)
    return len(read.content.get_planar_roi_measurement_groups())


def test_the_report_measures_each_region() -> None:
    dataset = source("CT_small.dcm")
    case = findings(dataset)
    finding = case.findings[0]
    assert isinstance(finding, Drawn)
    finding.inside[60:62, 50:53] = True
    segmentation = segmentation_of([(case, dataset)], OPTIONS)
    written = dicom_bytes(report_of([(case, dataset)], segmentation, OPTIONS))
    report = hd.sr.ComprehensiveSR.from_dataset(pydicom.dcmread(BytesIO(written)))
    first, second = report.content.get_planar_roi_measurement_groups()
    across, down = map(float, dataset.PixelSpacing)
    (area,) = second.get_measurements(name=codes.SCT.Area)
    assert area.value == pytest.approx(6 * across * down, rel=1e-4)
    assert area.unit == codes.UCUM.SquareMillimeter
    (score,) = second.get_measurements(name=SCORE)
    assert score.value == pytest.approx(finding.heat[60:62, 50:53].max(), abs=1e-6)
    region = second.roi.value
    assert region.min(0).tolist() == [50, 60]
    assert region.max(0).tolist() == [53, 62]
    assert first.tracking_uid != second.tracking_uid
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {item.ReferencedSOPInstanceUID for one in evidence for item in one.ReferencedSOPSequence}
    assert named == {dataset.SOPInstanceUID, segmentation.SOPInstanceUID}
    assert OPTIONS.detector.encode() in written
    assert version().encode() in written


@pytest.mark.parametrize("change", ["mask", "detector", "settings", "frame"])
def test_other_content_is_another_object(change: str) -> None:
    dataset = source("eCT_Supplemental.dcm")
    case, options = findings(dataset), OPTIONS
    same = segmentation_of([(findings(dataset), dataset)], OPTIONS).SOPInstanceUID
    if change == "mask":
        assert isinstance(case.findings[0], Drawn)
        case.findings[0].inside[40, 40] = True
    elif change == "frame":
        case = findings(dataset, indices=(0, 1))
    elif change == "detector":
        options = replace(OPTIONS, detector="winclip")
    else:
        options = replace(OPTIONS, fingerprint="e" * 32)
    assert segmentation_of([(case, dataset)], options).SOPInstanceUID != same
    assert segmentation_of([(findings(dataset), dataset)], OPTIONS).SOPInstanceUID == same


def test_a_capture_lies_where_its_source_does() -> None:
    for dataset in (ct_series(3, oblique=True)[0], source("MR_small.dcm")):
        case = findings(dataset)
        pixels = np.zeros((dataset.Rows, dataset.Columns), np.uint8)
        shown = pydicom.dcmread(BytesIO(dicom_bytes(capture_of(case.findings[0], pixels, dataset, OPTIONS))))
        for keyword in (
            "FrameOfReferenceUID",
            "ImagePositionPatient",
            "ImageOrientationPatient",
            "PixelSpacing",
        ):
            assert shown[keyword].value == dataset[keyword].value, keyword
    several = source("eCT_Supplemental.dcm")
    case = findings(several, per_frame=2, indices=(0, 1, 2, 3))
    pixels = np.zeros((several.Rows, several.Columns), np.uint8)
    shown = [capture_of(one, pixels, several, OPTIONS) for one in case.findings]
    assert [one.InstanceNumber for one in shown] == [1, 2, 3, 4]
    places = [
        frame.PlanePositionSequence[0].ImagePositionPatient
        for frame in several.PerFrameFunctionalGroupsSequence
    ]
    assert [one.ImagePositionPatient for one in shown] == [places[0]] * 2 + [places[1]] * 2
    assert len({one.SOPInstanceUID for one in shown}) == 4
