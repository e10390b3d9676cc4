"""What a NIfTI header says of its volume: samples, scaling, orientation, the axis to slice along."""

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import io_orientation

from s2sw.connectors.preflight.limits import check_frames, check_geometry
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

logging.getLogger("nibabel").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"nibabel(\.|$)")

HEADER_BYTES = 540
"""Of the longer of the two headers, NIfTI-2's: enough to read either."""
PLANES = ("sagittal", "coronal", "axial")
"""Names of the slices across the canonical axes R, A, S."""
_DERIVED_INTENTS = frozenset((*range(2, 25), *range(1001, 1011), *range(3000, 3100)))
"""Statistics; estimates, labels, matrices, vectors and meshes (nifti1.h); CIFTI-2 matrices."""
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
"""In a unit of space: metre, millimetre, micrometre."""
_EXTENDED_FLOATS = (16, 32)


@dataclass(frozen=True, slots=True)
class VolumeHeader:
    """Geometry and scaling of a NIfTI file.

    shape: the three spatial extents as stored, first axis fastest. volumes: how many are to be read.
    orientation: for each stored axis its canonical axis (0 R, 1 A, 2 S) and +1 or -1. axis: the stored axis
    to slice along. window: display range in scaled units, None if the header names none. affine: from indices
    of stored samples to millimetres to the right, front and head, (4, 4); placed: whether the header says so,
    and the directions are not a guess.
    """

    shape: tuple[int, int, int]
    volumes: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    window: tuple[float, float] | None
    orientation: tuple[tuple[int, int], ...]
    axis: int
    affine: tuple[tuple[float, ...], ...]
    placed: bool

    @property
    def plane(self) -> str:
        """Return the name of the slices: sagittal, coronal or axial."""
        return PLANES[self.orientation[self.axis][0]]

    @property
    def volume_bytes(self) -> int:
        """Bytes of one volume as stored."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    @property
    def samples(self) -> int:
        """Samples of all volumes to be read."""
        return int(np.prod(self.shape, dtype=object)) * self.volumes


def read_header(data: bytes, settings: DecodeSettings) -> VolumeHeader:
    """Return the header in the first bytes of a NIfTI-1 or NIfTI-2 file, within the limits.

    ``data``: at least the header, 348 or 540 bytes. Raises TRUNCATED, MALFORMED, TOO_LARGE, UNSUPPORTED,
    DERIVED_LABELS; nibabel's HeaderDataError for values it cannot read.
    """
    first = int.from_bytes(data[:4], "little")
    kind: Any = (
        nibabel.Nifti2Header if 540 in (first, int.from_bytes(data[:4], "big")) else nibabel.Nifti1Header
    )
    if len(data) < kind.template_dtype.itemsize:
        raise ScreeningError(Reason.TRUNCATED, "NIfTI header")
    header = kind(data[: kind.template_dtype.itemsize], check=False)
    if int(header["intent_code"]) in _DERIVED_INTENTS and not settings.derived_objects:
        raise ScreeningError(Reason.DERIVED_LABELS)
    dtype = header.get_data_dtype()
    if dtype.itemsize in _EXTENDED_FLOATS and dtype.kind in "fc" and dtype != np.complex128:
        raise ScreeningError(Reason.UNSUPPORTED, "128-bit floats")
    shape, volumes = _extents(header, settings)
    orientation = _orientation(header)
    slope, intercept = _scaling(header)
    offset = float(header["vox_offset"])
    paired = header["magic"].item()[:3] in (b"ni1", b"ni2")
    if not np.isfinite(offset) or offset < (0 if paired else kind.template_dtype.itemsize):
        raise ScreeningError(Reason.MALFORMED, "vox_offset")
    result = VolumeHeader(
        shape, volumes, dtype, int(offset), slope, intercept, _window(header), orientation,
        _slicing_axis(header, shape, orientation, settings), *_affine(header),
    )  # fmt: skip
    _check(result, settings)
    return result


def _extents(header: Any, settings: DecodeSettings) -> tuple[tuple[int, int, int], int]:
    dims = [int(extent) for extent in header["dim"]]
    if not 1 <= dims[0] <= 7 or any(extent < 1 for extent in dims[1 : dims[0] + 1]):
        raise ScreeningError(Reason.MALFORMED, "dim")
    extents = dims[1 : dims[0] + 1] + [1] * 3
    volumes = int(np.prod(dims[4 : dims[0] + 1], dtype=object)) if dims[0] > 3 else 1
    return (extents[0], extents[1], extents[2]), volumes if settings.nifti_volumes == "all" else 1


def _orientation(header: Any) -> tuple[tuple[int, int], ...]:
    """Return canonical axis and direction of each stored axis; RAS if the affine is singular."""
    affine = header.get_best_affine()
    stored = ((0, 1), (1, 1), (2, 1))
    if not np.isfinite(affine).all():
        return stored
    try:
        found: Any = io_orientation(affine)  # type: ignore[no-untyped-call]
    except np.linalg.LinAlgError:
        return stored
    if np.isnan(found).any() or sorted(found[:, 0]) != [0, 1, 2]:
        return stored
    return tuple((int(axis), int(flip)) for axis, flip in found)


def _affine(header: Any) -> tuple[tuple[tuple[float, ...], ...], bool]:
    """Return the affine in mm (nifti1.h: xyzt_units), and whether a form of the header gives it."""
    affine: Any = np.array(header.get_best_affine(), dtype=np.float64)
    affine[:3] *= _MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    placed = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    return tuple(tuple(float(value) for value in row) for row in affine), placed


def _scaling(header: Any) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or one that is not finite means none (nifti1.h)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not np.isfinite(slope) or slope == 0:
        return 1.0, 0.0
    return slope, intercept if np.isfinite(intercept) else 0.0


def _window(header: Any) -> tuple[float, float] | None:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return (low, high) if np.isfinite((low, high)).all() and high > low else None


def _slicing_axis(
    header: Any,
    shape: tuple[int, int, int],
    orientation: tuple[tuple[int, int], ...],
    settings: DecodeSettings,
) -> int:
    """Return the stored axis to slice along.

    auto: a flat axis (one sample) if there is one, else the one with the largest spacing, else axial.
    """
    canonical = [axis for axis, _ in orientation]
    axial = canonical.index(2)
    if settings.nifti_axis != "auto":
        return canonical.index(PLANES.index(settings.nifti_axis))
    if 1 in shape:
        return axial if shape[axial] == 1 else shape.index(1)
    zooms = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    if not np.isfinite(zooms).all() or zooms.max() <= zooms[axial] * 1.01:
        return axial
    return int(zooms.argmax())


def _check(header: VolumeHeader, settings: DecodeSettings) -> None:
    rows, cols = (extent for at, extent in enumerate(header.shape) if at != header.axis)
    check_geometry(rows, cols, header.dtype.itemsize, settings.limits)
    check_frames(header.shape[header.axis] * header.volumes, settings.limits)
    total = header.volume_bytes * header.volumes
    if total > settings.limits.inflated_bytes:
        raise ScreeningError(Reason.TOO_LARGE, f"inflated_bytes is {total}")
