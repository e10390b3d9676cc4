"""Captures are numbered as their slices lie in the patient, whatever the files' own numbers are."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from s2sw.pipeline.exports.revealing import Reveal
from tests.pipeline.exports.exported import export
from tests.support.archives import dicom_file, encoded, texture
from tests.support.screened import Screened, screen_archive
from tests.support.series import ROWS, SLICES, directions, position, series_files

FRAMES = "ward/frames.dcm"
FLAT = "ward/photograph.dcm"


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    files = series_files() | {
        FRAMES: dicom_file("eCT_Supplemental.dcm"),
        FLAT: dicom_file("SC_rgb.dcm"),
        "line/part.png": encoded(texture(60, 70, 1), "PNG"),
    }
    return screen_archive(tmp_path_factory.mktemp("ward"), files=files)


def captures(ward: Screened, folder: Path, top: int | None) -> dict[str, Dataset]:
    """Return captures by the name of their file without its rank."""
    export(ward, "dicom-heat", folder, Reveal.PATIENT, Reveal.PIXELS, top=top)
    return {path.name.partition("-")[2]: pydicom.dcmread(path) for path in folder.iterdir()}


def test_numbers_follow_anatomy_and_not_the_files(ward: Screened, tmp_path: Path) -> None:
    made = captures(ward, tmp_path, None).values()
    series = [one for one in made if one.Rows == ROWS]
    assert len(series) == SLICES
    heights = {
        one.InstanceNumber: float(np.dot(np.array(one.ImagePositionPatient, float), directions()[2]))
        for one in series
    }
    assert sorted(heights) == list(range(1, SLICES + 1))
    expected = [float(np.dot(position(place), directions()[2])) for place in range(SLICES)]
    np.testing.assert_allclose([heights[number] for number in sorted(heights)], expected, atol=1e-4)
    assert len({one.SeriesInstanceUID for one in series}) == 1


def test_numbers_of_frames_are_theirs_in_the_object(ward: Screened, tmp_path: Path) -> None:
    made = captures(ward, tmp_path, None)
    frames = {int(name[-8:-4]): one for name, one in made.items() if ward.ids[FRAMES] in name}
    # their rows run to the right and their columns to the back, so the normal points to the feet
    heights = {one.InstanceNumber: float(one.ImagePositionPatient[2]) for one in frames.values()}
    assert heights == {1: -149.0, 2: -159.0}
    (flat,) = [one for name, one in made.items() if ward.ids[FLAT] in name]
    assert flat.InstanceNumber == 1


def test_what_an_export_takes_changes_no_number(ward: Screened, tmp_path: Path) -> None:
    every, some = captures(ward, tmp_path / "every", None), captures(ward, tmp_path / "some", 6)
    assert 0 < len(some) < len(every)
    for name, one in some.items():
        assert one.InstanceNumber == every[name].InstanceNumber
        assert one.SOPInstanceUID == every[name].SOPInstanceUID
