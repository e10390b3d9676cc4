"""Volumes made here, as NIfTI: in the geometry of a NIfTI file, or of a stack of planes."""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.geometry import Geometry
from s2sw.connectors.nifti.header import HEADER_BYTES, VolumeHeader, read_header
from s2sw.connectors.nifti.planes import from_upright
from s2sw.connectors.preflight.formats import Format, sniff
from s2sw.connectors.preflight.inflate import Inflater
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

MOST_PLANES = 16_384
SINGLE = 1.0
"""Millimetres between planes where there is one, whose thickness nobody says."""

_TOLERANCE = 0.02
"""Of a step, by which a plane may lie beside its place: scanners write positions with few digits."""
_LARGEST_SIDE = 32_767  # of NIfTI-1
_TO_RAS = np.array([-1.0, -1.0, 1.0])
"""From DICOM's axes, to the left, back and head, to NIfTI's, to the right, front and head."""

Affine = NDArray[np.float64]
Plane = NDArray[Any]


def header_of(data: bytes, settings: DecodeSettings) -> VolumeHeader:
    """Return the header of a NIfTI file, or of the ``.hdr`` half of a pair, packed or not."""
    packed = sniff(data) is Format.GZIP
    start = Inflater(data, settings.limits).read(HEADER_BYTES) if packed else data[:HEADER_BYTES]
    return read_header(start, settings)


def filled_like(header: VolumeHeader, planes: Mapping[int, Plane]) -> Plane:
    """Return upright slices, by their numbers, as samples in the order of a file; 0 where there is none.

    Shape: the three of the file, and the number of volumes if there are several.
    """
    depth = header.shape[header.axis]
    first = next(iter(planes.values()))
    volume = np.zeros((*header.shape, header.volumes), first.dtype)
    for number, plane in planes.items():
        whole = volume[..., number // depth]
        np.moveaxis(whole, header.axis, 0)[number % depth] = from_upright(header, plane)
    return volume if header.volumes > 1 else volume[..., 0]


def stacked(planes: Sequence[Geometry]) -> tuple[list[int], Affine]:
    """Return the place of each plane in a stack of parallel ones of equal distance, and the stack's affine.

    The affine leads from (column, row, place) to millimetres to the right, front and head; places start at 0,
    and some may be free. Raises ScreeningError UNSUPPORTED for planes without a place in the patient, those
    that lie upon each other, and distances without a common step.
    """
    one = planes[0]
    if one.along_row is None or one.along_col is None or one.spacing is None or not one.in_patient:
        raise ScreeningError(Reason.UNSUPPORTED, "no place in the patient")
    heights = [plane.height for plane in planes]
    if None in heights:
        raise ScreeningError(Reason.UNSUPPORTED, "no position")
    places = _places(np.array(heights, np.float64))
    positions = np.array([plane.position for plane in planes], np.float64)
    lowest, highest = int(np.argmin(places)), int(np.argmax(places))
    if lowest != highest:  # which need not be across the planes: a tilted gantry shears the stack
        step = (positions[highest] - positions[lowest]) / places[highest]
    else:
        step = np.asarray(one.normal) * SINGLE
    expected = positions[lowest] + np.outer(places, step)
    if np.abs(expected - positions).max() > _TOLERANCE * np.linalg.norm(step):
        raise ScreeningError(Reason.UNSUPPORTED, "the planes are no straight stack")
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(one.along_row) * one.spacing[1]
    affine[:3, 1] = np.asarray(one.along_col) * one.spacing[0]
    affine[:3, 2], affine[:3, 3] = step, positions[lowest]
    affine[:3] *= _TO_RAS[:, None]
    return [int(place) for place in places], affine


def _places(heights: NDArray[np.float64]) -> NDArray[np.int64]:
    gaps = np.diff(np.sort(heights))
    if not gaps.size:
        return np.zeros(1, np.int64)
    step = float(gaps.min())
    if step <= 1e-3:
        raise ScreeningError(Reason.UNSUPPORTED, "planes that lie upon each other")
    exact = (heights - heights.min()) / step
    # the smallest gap is off by a rounding, which many steps multiply: the mean of all whole ones is better
    exact *= np.rint(exact).max() / exact.max()
    places = np.rint(exact)
    if places.max() >= MOST_PLANES or np.abs(exact - places).max() > _TOLERANCE:
        raise ScreeningError(Reason.UNSUPPORTED, "distances between planes without a common step")
    return np.asarray(places, np.int64)


def nifti_bytes(volume: Plane, affine: Affine, placed: bool = True) -> bytes:
    """Return a ``.nii.gz`` file; the same volume gives the same bytes.

    affine: from indices to millimetres to the right, front and head, (4, 4). placed: whether its directions
    are known; if not, only sizes of samples are written.
    """
    kind: Any = nibabel.Nifti2Image if max(volume.shape) > _LARGEST_SIDE else nibabel.Nifti1Image
    image = kind(volume, affine)
    code = 1 if placed else 0
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), mtime=0)
