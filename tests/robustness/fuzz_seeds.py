"""Honest small files of every format: the seeds that the fuzz campaign mutates."""

import gzip
import io
import tarfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom

from tests.robustness.fuzz_rasters import raster_seeds
from tests.support.archive_bombs import zip_of
from tests.support.bombs import nifti

MAX_SEED_BYTES = 150_000


def _dicom_files() -> list[Path]:
    folders = [Path(pydicom.__file__).parent / "data"]
    try:
        import data_store  # the package pydicom-data

        folders.append(Path(data_store.__file__).parent)
    except ImportError:
        pass
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if path.stat().st_size <= MAX_SEED_BYTES and path.suffix != ".py"]


def _is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM" or data[:2] in (b"\x08\x00", b"\x02\x00")


def _volumes() -> list[bytes]:
    files = []
    for kind in (np.uint8, np.int16, np.float32, np.complex64, np.float64):
        samples = np.arange(6 * 7 * 5 * 2, dtype=kind).reshape(6, 7, 5, 2)
        for image in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            files.append(image(samples, np.diag([1, -1, 3, 1.0])).to_bytes())
    return [*files, *(gzip.compress(data) for data in files[:4]), nifti((4, 5, 3), bytes(120))]


def tar_of(*members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def seeds() -> list[tuple[str, bytes]]:
    """Return (kind, bytes) of every seed; kind decides which repairs a mutation may get."""
    found = [("dicom", data) for path in _dicom_files() if _is_dicom(data := path.read_bytes())]
    rasters = raster_seeds()
    volumes = [("gzip" if data[:2] == b"\x1f\x8b" else "nifti", data) for data in _volumes()]
    contents = [("a.png", rasters[0][1]), ("b/c.dcm", found[0][1]), ("d" * 120 + ".nii", volumes[0][1])]
    archives = [("zip", zip_of(*contents)), ("zip", zip_of(*contents[:2], ("../e.png", b"x")))]
    archives += [("tar", tar_of(*contents, form=form)) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)]
    archives += [("gzip", gzip.compress(tar_of(*contents)))]
    # the few seeds of the other formats are repeated so that each family gets its share
    return found + rasters * 2 + volumes * 3 + archives * 8
