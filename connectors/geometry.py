"""Where the pixels of a picture lie and how large they are, in millimetres and in the patient."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Vector = tuple[float, float, float]

_TOLERANCE = 1e-3
"""Of the length of a direction, and of the angle between the two: scanners write six digits or so."""
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))
"""Towards which of the axes x, y, z of a patient increase and decrease (PS3.3 C.7.6.1.1.1)."""
_LEAST_SHARE = 0.25
"""Of a direction along an axis, from which its letter is said too."""
_SPACINGS = (1e-6, 1e4)  # mm: from far below a microscope's pixels to far above a patient
_ASPECTS = (1 / 20, 20.0)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The plane of one picture (PS3.3 C.7.6.2.1.1); what is not known is None.

    spacing: millimetres between the centres of rows and between those of columns. in_patient: whether these
    are sizes in the patient or object, and not at a detector behind it. aspect: height of a pixel by its
    width. along_row, along_col: unit vectors in which the column index and the row index increase; position:
    the centre of the first pixel in mm; axes run to the patient's left, back and head. marks: letters of the
    left, right, top and bottom edge. instance: the number of the picture in its series.
    """

    spacing: tuple[float, float] | None = None
    in_patient: bool = True
    aspect: float = 1.0
    along_row: Vector | None = None
    along_col: Vector | None = None
    position: Vector | None = None
    marks: tuple[str, str, str, str] | None = None
    instance: float | None = None

    @property
    def normal(self) -> Vector | None:
        """Return the unit vector across the plane, along_row x along_col."""
        if self.along_row is None or self.along_col is None:
            return None
        (a, b, c), (d, e, f) = self.along_row, self.along_col
        return (b * f - c * e, c * d - a * f, a * e - b * d)

    @property
    def height(self) -> float | None:
        """Return the place along the normal in mm."""
        if self.normal is None or self.position is None:
            return None
        return math.fsum(n * p for n, p in zip(self.normal, self.position, strict=True))


UNKNOWN_PLANE = Geometry()


def columns_of(plane: Geometry) -> dict[str, Any]:
    """Return a plane as columns of a table, by DICOM's names; None: not known, or not in the patient."""
    directions = None
    if plane.along_row is not None and plane.along_col is not None:
        directions = [*plane.along_row, *plane.along_col]
    return {
        "pixel_spacing": list(plane.spacing) if plane.spacing and plane.in_patient else None,
        "image_position": list(plane.position) if plane.position and directions else None,
        "image_orientation": directions,
        "instance_number": plane.instance,
    }


def plane_from(columns: Mapping[str, Any]) -> Geometry:
    """Return the plane of such columns; one that cannot be meant is not known."""
    found = directions_of(columns.get("image_orientation") or ())
    spacing = spacing_of(columns.get("pixel_spacing") or ())
    plane = Geometry(spacing, True, aspect_of(spacing or ()), instance=columns.get("instance_number"))
    if found is None:
        return plane
    position = vector_of(columns.get("image_position") or ())
    along_row, along_col = found
    return replace(plane, along_row=along_row, along_col=along_col, position=position, marks=marks_of(*found))


def spacing_of(values: Sequence[float]) -> tuple[float, float] | None:
    """Return two spacings in mm, None unless both are sizes that a pixel can have."""
    low, high = _SPACINGS
    if len(values) != 2 or not all(math.isfinite(value) and low <= value <= high for value in values):
        return None
    return float(values[0]), float(values[1])


def aspect_of(values: Sequence[float]) -> float:
    """Return the height of a pixel by its width; 1 where the two numbers cannot be meant."""
    low, high = _ASPECTS
    if len(values) != 2 or not all(math.isfinite(value) and value > 0 for value in values):
        return 1.0
    return values[0] / values[1] if low <= values[0] / values[1] <= high else 1.0


def vector_of(values: Sequence[float]) -> Vector | None:
    """Return three finite numbers, None for anything else."""
    if len(values) != 3 or not all(math.isfinite(value) and abs(value) < 1e6 for value in values):
        return None
    return float(values[0]), float(values[1]), float(values[2])


def directions_of(values: Sequence[float]) -> tuple[Vector, Vector] | None:
    """Return the two directions of an orientation, None unless they are at right angles."""
    first, second = vector_of(values[:3]), vector_of(values[3:])
    if first is None or second is None:
        return None
    lengths = math.hypot(*first), math.hypot(*second)
    across = math.fsum(a * b for a, b in zip(first, second, strict=True))
    if any(abs(length - 1) > _TOLERANCE for length in lengths) or abs(across) > _TOLERANCE:
        return None
    return first, second


def marks_of(along_row: Vector, along_col: Vector) -> tuple[str, str, str, str]:
    """Return the letters of the left, right, top and bottom edge, such as ``("R", "L", "A", "P")``."""
    right, bottom = letters(along_row), letters(along_col)
    return opposite(right), right, opposite(bottom), bottom


def letters(direction: Vector) -> str:
    """Return the letters of a direction, the strongest first (PS3.3 C.7.6.1.1.1)."""
    parts = sorted(zip(direction, _LETTERS, strict=True), key=lambda part: -abs(part[0]))
    return "".join(pair[part < 0] for part, pair in parts if abs(part) >= _LEAST_SHARE)


def opposite(words: str) -> str:
    """Return the letters of the other direction."""
    other = {letter: pair[1 - at] for pair in _LETTERS for at, letter in enumerate(pair)}
    return "".join(other[letter] for letter in words)
