"""dciodvfy (dicom3tools), which checks objects against the standard, on every kind that is written."""

import io
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.exports.dicom_common import dicom_bytes
from s2sw.pipeline.exports.dicom_heat import capture_of
from s2sw.pipeline.exports.dicom_seg import files_of
from tests.pipeline.exports.dicom_cases import OPTIONS, ct_series, findings, source
from tests.support.archives import dicom_file
from tests.support.screened import Screened, screen_archive
from tests.support.series import SLICES, series_files

NAME = "Sologamus"

PLACED = ("CT_small.dcm", "MR_small.dcm", "oblique", "eCT_Supplemental.dcm")

pytestmark = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)


def errors_in(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert said
    return [line for line in said if line.startswith("Error")]


def changed(name: str, **values: object) -> bytes:
    """Return a file of pydicom's with other values of attributes; None leaves one out."""
    dataset, sink = source(name), io.BytesIO()
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(sink)
    return sink.getvalue()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    """A series, and files of one and of several frames, among them some that no object can refer to."""
    files = series_files() | {
        f"ward/{name}": dicom_file(name)
        for name in ("eCT_Supplemental.dcm", "MR_small.dcm", "SC_rgb.dcm", "JPEG-lossy.dcm")
    }
    files |= {
        "ward/us.dcm": changed("US1_UNCR.dcm", PatientName=NAME),
        "ward/no-series.dcm": changed("CT_small.dcm", SeriesInstanceUID=None),
        "ward/no-time.dcm": changed("CT_small.dcm", StudyTime="14:04:38"),
        "ward/no-frame-of-reference.dcm": changed("CT_small.dcm", FrameOfReferenceUID=None),
    }
    return screen_archive(tmp_path_factory.mktemp("ward"), files=files)


@pytest.mark.parametrize("format_", ["dicom-seg", "dicom-heat"])
def test_an_export_of_an_archive_has_no_error(format_: str, ward: Screened, tmp_path: Path) -> None:
    command = ["export", str(ward.output), "--private-dir", str(ward.private), "--format", format_]
    command += ["--to", str(tmp_path / "made"), "--top", "0", "--threshold", "0.3", "--reveal", "patient"]
    command += ["--reveal", "pixels"] if format_ == "dicom-heat" else []
    with warnings.catch_warnings(record=True) as said:
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert NAME not in done.output + "".join(str(one.message) for one in said)
    files = list((tmp_path / "made").iterdir())
    assert {path.name: errors_in(path) for path in files if errors_in(path)} == {}
    if format_ == "dicom-heat":
        assert "unsupported 2" in done.output
        assert len(files) == SLICES + 2 + 1 + 4
    else:
        assert "unsupported 2" in done.output
        assert "4 of the slices written have a report but no segmentation (no_place): " in done.output
        segmented = [path for path in files if "report" not in path.name]
        assert len(segmented) == 1 + 1 + 1  # the series, the frames, the MR
        assert len(files) == 2 * len(segmented) + 4
        assert max(int(pydicom.dcmread(path).NumberOfFrames) for path in segmented) == SLICES


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "oblique", "eCT_Supplemental.dcm", "US1_UNCR.dcm", "SC_rgb.dcm",
     "JPEG-lossy.dcm", "examples_ybr_color.dcm"],
)  # fmt: skip
def test_dciodvfy_finds_no_error_in_what_is_written(name: str, tmp_path: Path) -> None:
    dataset = ct_series(1, oblique=True)[0] if name == "oblique" else source(name)
    case = findings(dataset)
    pixels = np.zeros((dataset.Rows, dataset.Columns), np.uint8)
    made = {"heat": dicom_bytes(capture_of(case.findings[0], pixels, dataset, OPTIONS))}
    made |= files_of([(case, dataset)], OPTIONS)
    assert len(made) == 1 + (2 if name in PLACED else 1)
    for kind, data in made.items():
        path = tmp_path / f"{kind}.dcm"
        path.write_bytes(data)
        assert errors_in(path) == [], kind
