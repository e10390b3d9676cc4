"""How the planes of a NIfTI volume are turned to be looked at, and where their pixels lie then."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.geometry import Geometry, aspect_of, directions_of, marks_of, spacing_of, vector_of
from s2sw.connectors.nifti.header import VolumeHeader


@dataclass(frozen=True, slots=True)
class Turn:
    """From a plane in stored order to one as on a radiologist's screen: flips first, then the swap.

    Axial: front up, the patient's right on the left. Coronal: head up, right on the left. Sagittal: head up,
    front on the left.
    """

    flip_first: bool
    flip_second: bool
    swap: bool


def turn_of(header: VolumeHeader) -> Turn:
    """Return how planes across the header's axis are turned."""
    (axis_a, flip_a), (axis_b, flip_b) = (o for at, o in enumerate(header.orientation) if at != header.axis)
    # rows must run along the higher of the two canonical axes
    return Turn(flip_a > 0, flip_b > 0, axis_a < axis_b)


def to_stored(header: VolumeHeader, index: int) -> NDArray[np.float64]:
    """Return the way from (column, row, 1) of an upright slice to indices of stored samples, (4, 3).

    index: of the slice along the header's axis.
    """
    turn = turn_of(header)
    first, second = (at for at in range(3) if at != header.axis)
    way = np.zeros((4, 3))
    way[header.axis, 2], way[3, 2] = index, 1
    for axis, flipped, from_column in (
        (first, turn.flip_first, turn.swap),
        (second, turn.flip_second, not turn.swap),
    ):
        way[axis, 0 if from_column else 1] = -1 if flipped else 1
        way[axis, 2] = header.shape[axis] - 1 if flipped else 0
    return way


def from_upright(header: VolumeHeader, plane: NDArray[Any]) -> NDArray[Any]:
    """Return an upright plane in stored order: the way back of a ``Turn``."""
    turn = turn_of(header)
    if turn.swap:
        plane = plane.swapaxes(0, 1)
    if turn.flip_second:
        plane = plane[:, ::-1]
    return plane[::-1] if turn.flip_first else plane


def plane_of(header: VolumeHeader, index: int) -> Geometry:
    """Return the plane of the slice of this index. Of a header without a form only sizes are known."""
    way = np.asarray(header.affine) @ to_stored(header, index)
    steps = way[:3, :2] * [[-1], [-1], [1]]  # DICOM's axes: to the left, back and head
    column, row = (float(length) for length in np.linalg.norm(steps, axis=0))
    spacing = spacing_of((row, column))
    if spacing is None:
        return Geometry()
    directions = directions_of([*(steps[:, 0] / column), *(steps[:, 1] / row)])
    if not header.placed or directions is None:
        return Geometry(spacing, aspect=aspect_of(spacing))
    position = vector_of((way[:3, 2] * [-1, -1, 1]).tolist())
    return Geometry(spacing, True, aspect_of(spacing), *directions, position, marks_of(*directions))
