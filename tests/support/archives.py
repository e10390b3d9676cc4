"""Small real files for tests: pictures with a texture and a defect, DICOM and NIfTI, and broken ones."""

import shutil
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.data import get_testdata_file

from s2sw.schemas.outcomes import Reason, Status


def texture(rows: int, cols: int, seed: int, channels: int = 3) -> NDArray[np.uint8]:
    """Return a brushed surface with one dark scratch, uint8 (rows, cols, channels), or (rows, cols) for 1."""
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, 14, (rows, 1)) + rng.normal(0, 5, (rows, cols))
    picture = 140 + grain[..., None] + rng.uniform(-30, 30, channels)
    row, col = rng.integers(rows // 4, rows // 2), rng.integers(cols // 4, cols // 2)
    picture[row : row + 3, col : col + cols // 4] -= 90
    pixels = picture.clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def encoded(pixels: NDArray[np.uint8] | NDArray[np.uint16], form: str, **options: object) -> bytes:
    """Return a picture as the bytes of a file that Pillow writes."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def dicom_file(name: str = "CT_small.dcm") -> bytes:
    """Return one of the files that pydicom ships."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()


def nifti_volume(shape: tuple[int, int, int], seed: int) -> bytes:
    """Return a NIfTI-1 volume of 16-bit samples whose last axis has the widest spacing."""
    rng = np.random.default_rng(seed)
    volume = nibabel.Nifti1Image(rng.integers(0, 900, shape).astype(np.int16), np.diag([1.0, 1.0, 4.0, 1.0]))
    data: bytes = volume.to_bytes()
    return data


@dataclass(frozen=True)
class Expected:
    """How one file of the archive has to end: screened with slices, or for a reason."""

    slices: int = 0
    reason: Reason | None = None

    @property
    def status(self) -> Status:
        """Screened, or quarantined for the reason."""
        return Status.SCREENED if self.reason is None else Status.QUARANTINED


def mixed_archive(folder: Path) -> dict[str, Expected]:
    """Fill a folder; return for each path below it how it has to end."""
    files = {
        "pictures/colour.png": (encoded(texture(90, 140, 1), "PNG"), Expected(1)),
        "pictures/grey.png": (encoded(texture(70, 70, 2, channels=1), "PNG"), Expected(1)),
        "pictures/photo.jpg": (encoded(texture(120, 80, 3), "JPEG", quality=85), Expected(1)),
        "pictures/wide.tif": (encoded(texture(60, 260, 4), "TIFF", compression="tiff_lzw"), Expected(1)),
        "pictures/deep.tif": (encoded(texture(64, 96, 5, 1).astype(np.uint16) * 257, "TIFF"), Expected(1)),
        "doe^jane/ct.dcm": (dicom_file(), Expected(1)),
        "doe^jane/head.nii": (nifti_volume((40, 36, 5), 6), Expected(5)),
        "broken/empty.png": (b"", Expected(reason=Reason.EMPTY)),
        "broken/cut.png": (encoded(texture(90, 140, 7), "PNG")[:3000], Expected(reason=Reason.TRUNCATED)),
        "broken/cut.dcm": (dicom_file()[:20000], Expected(reason=Reason.TRUNCATED)),
        "broken/notes.dcm": (b"Not a picture at all.\n" * 40, Expected(reason=Reason.UNKNOWN_FORMAT)),
    }
    for name, (data, _) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: expected for name, (_, expected) in files.items()}


def copy_tree(source: Path, target: Path) -> None:
    """Copy an archive with its modification times, so that its objects keep their version marks."""
    shutil.copytree(source, target, copy_function=shutil.copy2)
