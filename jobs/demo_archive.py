"""The archive that the demo screens: real pictures and slices from installed packages, and broken files."""

import shutil
from pathlib import Path

import elpv_dataset
import nibabel
import pydicom

CELLS = 200  # of 2,624 solar cells
BROKEN = 4


def make_archive(folder: Path) -> int:
    """Fill a folder and return the number of files in it.

    solar-cells/: electroluminescence photographs (elpv-dataset); dicom/: pydicom's own test files;
    nifti/: nibabel's own; broken/: an empty file, a cut PNG, a cut DICOM file and a text file named .dcm.
    """
    cells = sorted((Path(elpv_dataset.__file__).parent / "data" / "images").glob("*.png"))
    step = len(cells) // CELLS
    dicom = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
    nifti = sorted((Path(nibabel.__file__).parent / "tests" / "data").glob("*.nii*"))
    _copy(cells[::step][:CELLS], folder / "solar-cells")
    _copy(dicom, folder / "dicom")
    _copy(nifti, folder / "nifti")
    _break(cells[0], next(path for path in dicom if path.name == "CT_small.dcm"), folder / "broken")
    return sum(1 for path in folder.rglob("*") if path.is_file())


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _break(picture: Path, dicom: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(picture.read_bytes()[:2000])
    (folder / "cut.dcm").write_bytes(dicom.read_bytes()[:20000])
    (folder / "notes.dcm").write_text("These are the notes of a meeting, not a DICOM file.\n" * 20)
