"""DICOM Segmentations and captures, read again by highdicom and pydicom."""

from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from typing_extensions import override

from s2sw.pipeline.exports.cases import Case, Finding, Heat, Mask
from s2sw.pipeline.exports.dicom_common import dicom_bytes, masks_of
from s2sw.pipeline.exports.dicom_heat import capture_of
from s2sw.pipeline.exports.dicom_seg import segmentation_of
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.overlays import laid_over
from s2sw.pipeline.results.reading import full_map, mask
from s2sw.schemas.outcomes import ScreeningError
from tests.pipeline.exports.exported import export, rows_of
from tests.support.archives import dicom_file
from tests.support.screened import Screened

OPTIONS = Options(frozenset(), "f" * 32, "s2swclip, prompts: mvtec.pth", trained=True)


def source(name: str) -> Dataset:
    return pydicom.dcmread(BytesIO(dicom_file(name)))


@dataclass(frozen=True)
class Drawn(Finding):
    """A finding whose map and mask are given instead of stored."""

    inside: Mask = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    heat: Heat = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @override
    def mask(self) -> Mask:
        return self.inside

    @override
    def drawn(self) -> tuple[Heat, Mask]:
        return self.heat, self.inside


def findings(dataset: Dataset, per_frame: int = 1, indices: tuple[int, ...] = (0,)) -> Case:
    """Return a case over slices of a DICOM object, each with a mask of its own over a map that rises."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    found = []
    for index in indices:
        row = {
            "object_id": "id", "run_id": "run", "slice_index": index, "n_slices": frames * per_frame,
            "rows": dataset.Rows, "cols": dataset.Columns, "image_score": 0.5, "threshold": 0.5,
        }  # fmt: skip
        inside = np.zeros((dataset.Rows, dataset.Columns), np.bool_)
        inside[index + 2 : index + 9, 3:10] = True
        heat = np.linspace(0, 1, inside.size, dtype=np.float32).reshape(inside.shape)
        found.append(Drawn(index + 1, row, None, inside, heat))
    return Case(found, None, "dicom")


def read_segmentation(data: bytes) -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(data))


def test_a_segmentation_is_the_mask_and_refers_to_its_source(private_archive: Screened, folder: Path) -> None:
    exported = export(private_archive, "dicom-seg", folder, Reveal.PATIENT, top=None, threshold=0.3)
    (path,) = folder.iterdir()
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
def test_sources_of_many_kinds_are_referred_to(name: str) -> None:
    dataset = source(name)
    case = findings(dataset)
    found = read_segmentation(dicom_bytes(segmentation_of(case, dataset, OPTIONS, 1)))
    np.testing.assert_array_equal(np.squeeze(found.pixel_array), case.findings[0].mask())
    pixels = np.zeros((dataset.Rows, dataset.Columns), np.uint8)
    shown = pydicom.dcmread(BytesIO(dicom_bytes(capture_of(case.findings[0], pixels, dataset, OPTIONS))))
    assert shown.pixel_array.shape == (*pixels.shape, 3)


def test_masks_lie_on_their_frames() -> None:
    dataset = source("eCT_Supplemental.dcm")
    case = findings(dataset, indices=(1,))
    found = read_segmentation(dicom_bytes(segmentation_of(case, dataset, OPTIONS, 1)))
    uid = dataset.SOPInstanceUID
    frames = found.get_pixels_by_source_frame(uid, [1, 2], assert_missing_frames_are_empty=True)
    assert not frames[0].any()
    np.testing.assert_array_equal(np.squeeze(frames[1]), case.findings[0].mask())


@pytest.mark.parametrize("name", ["SC_rgb_2frame.dcm", "emri_small_RLE.dcm"])
def test_frames_without_a_place_in_space_are_refused_rather_than_lost(name: str) -> None:
    dataset = source(name)
    with pytest.raises((ScreeningError, ValueError)):
        segmentation_of(findings(dataset, indices=(0, 1)), dataset, OPTIONS, 1)


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
        segmentation_of(one, dataset, OPTIONS, 1).SOPInstanceUID for one in (case, case, other)
    )
    assert first == again != another
    assert pydicom.uid.UID(first).is_valid


def test_attributes_that_may_be_empty_may_be_missing_in_the_source() -> None:
    dataset = source("CT_small.dcm")
    del dataset.PatientID, dataset.AccessionNumber
    found = read_segmentation(dicom_bytes(segmentation_of(findings(dataset), dataset, OPTIONS, 1)))
    assert found.PatientID == ""
