"""NIfTI volumes of maps and masks, read again by nibabel and SimpleITK, and compared with their sources."""

# mypy: disable-error-code="attr-defined"

import gzip
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import SimpleITK

from s2sw.connectors.decode import decode
from s2sw.pipeline.results.reading import full_map, mask
from s2sw.pipeline.results.sources import Sources
from s2sw.schemas.decoding import DecodeSettings
from tests.pipeline.exports.exported import export, rows_of
from tests.support.archives import dicom_file, encoded, texture
from tests.support.screened import Screened, screen_archive
from tests.support.series import SLICES, series_files, series_name

OBLIQUE = np.array([[0, 0, -3.5, 90], [-0.97, 0.2, 0, 40], [0.2, 0.97, 0, -70], [0, 0, 0, 1.0]])
FRAMES = 2  # of the enhanced CT
HEAD, TIME, CT = "ward/head.nii.gz", "ward/time.nii", "ward/ct.dcm"


def nifti(shape: tuple[int, ...], affine: np.ndarray) -> bytes:
    samples = np.random.default_rng(3).integers(0, 900, shape).astype(np.int16)
    data: bytes = nibabel.Nifti1Image(samples, affine).to_bytes()
    return data


def head() -> bytes:
    return nifti((40, 52, 9), OBLIQUE)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    files = series_files() | {
        HEAD: gzip.compress(head(), mtime=0),
        TIME: nifti((30, 28, 4, 2), np.diag([2.0, 2.0, 5.0, 1.0])),
        CT: dicom_file(),
        "line/part.png": encoded(texture(60, 70, 1), "PNG"),
    }
    return screen_archive(tmp_path_factory.mktemp("volumes"), files=files)


@pytest.fixture(scope="module")
def exported(volumes: Screened, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nifti") / "export"
    done = export(volumes, "nifti", folder, top=None)
    assert done.written == SLICES + 9 + 4 + 1
    assert dict(done.skipped) == {"unsupported": 1}, "the picture"
    assert len(list(folder.iterdir())) == 2 * 4
    return folder


def file_of(exported: Path, screened: Screened, names: list[str], kind: str) -> Path:
    ids = [screened.ids[name] for name in names]
    (path,) = (p for p in exported.glob(f"*-{kind}.nii.gz") if any(one in p.name for one in ids))
    return path


def test_a_series_is_one_volume_where_its_files_lie(exported: Path, volumes: Screened) -> None:
    names = [series_name(place) for place in range(SLICES)]
    path = file_of(exported, volumes, names, "map")
    image, rows = nibabel.load(path), rows_of(volumes)
    itk = SimpleITK.ReadImage(str(path))
    masks = np.asarray(nibabel.load(file_of(exported, volumes, names, "mask")).dataobj)
    for place, name in enumerate(names):
        source = pydicom.dcmread(BytesIO(series_files()[name]))
        row = rows[volumes.ids[name], 0]
        np.testing.assert_array_equal(np.asarray(image.dataobj)[..., place].T, full_map(row))
        np.testing.assert_array_equal(masks[..., place].T.astype(bool), mask(row))
        first, second = np.array(source.ImageOrientationPatient, float).reshape(2, 3)
        height, width = map(float, source.PixelSpacing)
        for at_row, at_col in ((0, 0), (source.Rows - 1, 0), (5, source.Columns - 1)):
            there = np.array(source.ImagePositionPatient, float)
            there += at_col * width * first + at_row * height * second  # PS3.3 C.7.6.2.1.1
            by_itk = itk.TransformIndexToPhysicalPoint((at_col, at_row, place))
            np.testing.assert_allclose(by_itk, there, atol=1e-4)
            by_nibabel = image.affine @ [at_col, at_row, place, 1]
            np.testing.assert_allclose(by_nibabel[:3] * [-1, -1, 1], there, atol=1e-4)


def test_a_file_is_laid_over_itself(exported: Path, volumes: Screened) -> None:
    path = file_of(exported, volumes, [HEAD], "map")
    image, source = nibabel.load(path), nibabel.Nifti1Image.from_bytes(head())
    assert image.shape == source.shape
    np.testing.assert_allclose(image.affine, source.affine, atol=1e-4)
    np.testing.assert_allclose(
        SimpleITK.ReadImage(str(path)).TransformIndexToPhysicalPoint((7, 11, 3)),
        (source.affine @ [7, 11, 3, 1])[:3] * [-1, -1, 1],
        atol=1e-4,
    )
    samples, rows = np.asarray(image.dataobj), rows_of(volumes)
    inverse = np.linalg.inv(source.affine)
    _, slices = decode(head(), DecodeSettings())
    for index, picture in enumerate(slices):
        plane, heat = picture.geometry, full_map(rows[volumes.ids[HEAD], index])
        for at_row, at_col in ((0, 0), (heat.shape[0] - 1, 3), (4, heat.shape[1] - 1)):
            there = np.array(plane.position)
            there += at_col * plane.spacing[1] * np.array(plane.along_row)  # type: ignore[index]
            there += at_row * plane.spacing[0] * np.array(plane.along_col)  # type: ignore[index]
            stored = inverse @ [*(there * [-1, -1, 1]), 1]
            assert samples[tuple(np.rint(stored[:3]).astype(int))] == heat[at_row, at_col]


def test_of_a_file_of_several_volumes_it_is_those_that_were_screened(
    exported: Path, volumes: Screened
) -> None:
    image, rows = nibabel.load(file_of(exported, volumes, [TIME], "map")), rows_of(volumes)
    assert image.shape == (30, 28, 4)
    peaks = np.asarray(image.dataobj).max((0, 1))
    own = [full_map(rows[volumes.ids[TIME], index]).max() for index in range(4)]
    np.testing.assert_array_equal(peaks, own)


def test_slices_that_are_not_exported_are_empty(volumes: Screened, folder: Path) -> None:
    export(volumes, "nifti", folder, top=3, min_score=0.0)
    for path in folder.glob("*-map.nii.gz"):
        filled = np.asarray(nibabel.load(path).dataobj).any((0, 1))
        assert 1 <= filled.sum() <= 3


def test_the_same_export_gives_the_same_bytes(exported: Path, volumes: Screened, folder: Path) -> None:
    export(volumes, "nifti", folder, top=None)
    for path in exported.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def without_geometry(screened: Screened, folder: Path) -> Screened:
    """Return the same with results as earlier versions wrote them."""
    output = folder / "earlier"
    shutil.copytree(screened.output, output)
    for path in output.glob("slices/**/*.parquet"):
        table = pq.read_table(path)
        gone = ["pixel_spacing", "image_position", "image_orientation", "instance_number"]
        pq.write_table(table.drop_columns(gone), path)
    return replace(screened, output=output)


@pytest.fixture(scope="module")
def series_and_frames(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    files = series_files() | {"ward/frames.dcm": dicom_file("eCT_Supplemental.dcm")}
    return screen_archive(tmp_path_factory.mktemp("frames"), files=files)


def test_results_say_where_slices_lie(
    series_and_frames: Screened, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No source is read for it, of several frames neither."""
    monkeypatch.setattr(Sources, "locate", lambda *_: pytest.fail("a source was looked for"))
    done = export(series_and_frames, "nifti", folder, top=None)
    assert (done.written, dict(done.skipped)) == (SLICES + FRAMES, {})
    (path,) = folder.glob(f"*{series_and_frames.ids['ward/frames.dcm']}*-map.nii.gz")
    source = pydicom.dcmread(BytesIO(dicom_file("eCT_Supplemental.dcm")))
    image = nibabel.load(path)
    assert image.shape == (source.Columns, source.Rows, FRAMES)
    positions = sorted(
        [*map(float, group.PlanePositionSequence[0].ImagePositionPatient)]
        for group in source.PerFrameFunctionalGroupsSequence
    )
    corners = [((image.affine @ [0, 0, place, 1])[:3] * [-1, -1, 1]).tolist() for place in range(FRAMES)]
    np.testing.assert_allclose(sorted(corners), positions, atol=1e-4)


def test_of_earlier_results_headers_say_it(
    series_and_frames: Screened, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = folder / "now"
    export(series_and_frames, "nifti", now, top=None)
    decoded: list[str] = []
    slices = Sources.slices
    monkeypatch.setattr(Sources, "slices", lambda *args: decoded.append(args[1].object_id) or slices(*args))
    earlier = without_geometry(series_and_frames, tmp_path)
    done = export(earlier, "nifti", folder / "earlier", top=None)
    assert (done.written, dict(done.skipped)) == (SLICES + FRAMES, {})
    assert decoded == [series_and_frames.ids["ward/frames.dcm"]]  # of single pictures no pixel
    for path in now.iterdir():
        assert (folder / "earlier" / path.name).read_bytes() == path.read_bytes()
