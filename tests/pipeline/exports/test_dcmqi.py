"""What dcmqi makes of the segmentations and reports that are written: masks in their places, figures."""

# mypy: disable-error-code="attr-defined"

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset

from s2sw.pipeline.exports.dicom_common import dicom_bytes
from s2sw.pipeline.exports.dicom_report import report_of
from s2sw.pipeline.exports.dicom_seg import segmentation_of
from tests.pipeline.exports.dicom_cases import OPTIONS, cases_of, ct_series, findings, source

BIN = Path(sys.executable).parent
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(
        shutil.which("segimage2itkimage", path=str(BIN)) is None, reason="dcmqi is not installed"
    ),
]


def dcmqi(tool: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [BIN / tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def affine_of(series: list[Dataset]) -> np.ndarray:
    """Return the map (column, row, slice) -> mm in LPS of a series in order (PS3.3 C.7.6.2.1.1)."""
    first, second = series[:2]
    along_row, along_column = np.reshape([float(x) for x in first.ImageOrientationPatient], (2, 3))
    down, across = map(float, first.PixelSpacing)
    origin, following = (np.array([float(x) for x in one.ImagePositionPatient]) for one in (first, second))
    affine = np.eye(4)
    affine[:3] = np.stack([along_row * across, along_column * down, following - origin, origin], 1)
    return affine


@pytest.mark.parametrize("oblique", [False, True])
def test_a_series_is_converted_to_masks_in_their_places(tmp_path: Path, oblique: bool) -> None:
    series = ct_series(4, oblique)
    cases = list(cases_of(series))
    written = tmp_path / "seg.dcm"
    written.write_bytes(dicom_bytes(segmentation_of(list(zip(cases, series, strict=True)), OPTIONS)))
    dcmqi("segimage2itkimage", "--inputDICOM", written, "--outputDirectory", tmp_path, "-t", "nii")
    (path,) = tmp_path.glob("*.nii*")
    found = nibabel.load(path)
    places = np.argwhere(np.asanyarray(found.dataobj) > 0)
    ours = [
        (column, row, index)
        for index, case in enumerate(cases)
        for row, column in np.argwhere(case.findings[0].mask())
    ]
    theirs = _points(found.affine, places)
    expected = _points(LPS_TO_RAS @ affine_of(series), np.array(ours))
    assert len(theirs) == len(expected) > 0
    np.testing.assert_allclose(_sorted(theirs), _sorted(expected), atol=1e-3)


def _points(affine: np.ndarray, places: np.ndarray) -> np.ndarray:
    points: np.ndarray = places @ affine[:3, :3].T + affine[:3, 3]
    return points


def _sorted(points: np.ndarray) -> np.ndarray:
    rounded = points.round(2)
    ordered: np.ndarray = points[np.lexsort(rounded.T)]
    return ordered


def test_a_report_says_what_was_measured(tmp_path: Path) -> None:
    dataset = source("CT_small.dcm")
    case = findings(dataset)
    segmentation = segmentation_of([(case, dataset)], OPTIONS)
    report = tmp_path / "report.dcm"
    report.write_bytes(dicom_bytes(report_of([(case, dataset)], segmentation, OPTIONS)))
    dcmqi("tid1500reader", "--inputDICOM", report, "--outputMetadata", tmp_path / "report.json")
    (group,) = json.loads((tmp_path / "report.json").read_text())["Measurements"]
    values = {item["quantity"]["CodeMeaning"]: float(item["value"]) for item in group["measurementItems"]}
    down, across = map(float, dataset.PixelSpacing)
    assert values["Area"] == pytest.approx(case.findings[0].mask().sum() * down * across, rel=1e-4)
