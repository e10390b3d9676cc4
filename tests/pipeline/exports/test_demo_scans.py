"""What is written of the DICOM files of the demo, of many classes and some of them odd, in the programs that
read it: highdicom, dciodvfy and dcmqi."""

# mypy: disable-error-code="attr-defined"

import json
import shutil
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest

from tests.pipeline.exports.exported import export
from tests.pipeline.exports.test_dciodvfy import errors_in
from tests.pipeline.exports.test_dcmqi import BIN, dcmqi
from tests.support.screened import Screened, screen_archive

pytestmark = pytest.mark.clients

needs_dciodvfy = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (dicom3tools)")
needs_dcmqi = pytest.mark.skipif(
    shutil.which("segimage2itkimage", path=str(BIN)) is None, reason="dcmqi is not installed"
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    """The files that pydicom ships, all of which the demo screens."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    files = {f"dicom/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.dcm"))}
    return screen_archive(tmp_path_factory.mktemp("scans"), "open", files=files)


@pytest.fixture(scope="module")
def segmented(scans: Screened, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the export to DICOM Segmentations of all slices."""
    folder = tmp_path_factory.mktemp("segmented") / "seg"
    done = export(scans, "dicom-seg", folder, top=None)
    segmentations, reports = segmentations_of(folder), reports_of(folder)
    assert len(reports) - len(segmentations) > 10, "those without a place"
    frames = sum(int(pydicom.dcmread(path).NumberOfFrames) for path in segmentations)
    assert done.written == frames + done.partly["no_place"]
    assert set(done.skipped) <= {"unsupported", "empty_mask"}
    return folder


def reports_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*-report.dcm"))


def segmentations_of(folder: Path) -> list[Path]:
    found = sorted(set(folder.iterdir()) - set(reports_of(folder)))
    assert len(found) > 5
    return found


def test_highdicom_reads_every_segmentation_and_its_place(segmented: Path) -> None:
    for path in segmentations_of(segmented):
        assert path.with_name(f"{path.stem}-report.dcm").exists()
        geometry = hd.seg.segread(path).get_volume_geometry()
        assert geometry is not None
        assert min(geometry.spacing) > 0


@needs_dciodvfy
def test_dciodvfy_finds_no_error_in_segmentations_and_reports(segmented: Path) -> None:
    found = {path.name: errors_in(path) for path in segmented.iterdir()}
    assert {name: errors for name, errors in found.items() if errors} == {}


@needs_dciodvfy
def test_dciodvfy_finds_no_error_in_captures(scans: Screened, folder: Path) -> None:
    done = export(scans, "dicom-heat", folder, top=None)
    assert done.written > 70
    found = {path.name: errors_in(path) for path in folder.iterdir()}
    assert {name: errors for name, errors in found.items() if errors} == {}


@needs_dcmqi
def test_dcmqi_makes_a_volume_of_every_segmentation(segmented: Path, tmp_path: Path) -> None:
    for path in segmentations_of(segmented):
        into = tmp_path / path.stem
        into.mkdir()
        dcmqi("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", into, "-t", "nii")
        (volume,) = into.glob("*.nii*")
        painted = int(np.count_nonzero(np.asanyarray(nibabel.load(volume).dataobj)))
        assert painted == int(pydicom.dcmread(path).pixel_array.sum()) > 0, path.name


@needs_dcmqi
def test_dcmqi_reads_every_region_of_the_reports(segmented: Path, tmp_path: Path) -> None:
    for path in reports_of(segmented):
        told = tmp_path / f"{path.stem}.json"
        dcmqi("tid1500reader", "--inputDICOM", path, "--outputMetadata", told)
        read = hd.sr.ComprehensiveSR.from_dataset(pydicom.dcmread(path))
        expected = read.content.get_planar_roi_measurement_groups()
        assert len(json.loads(told.read_text())["Measurements"]) == len(expected) > 0, path.name
