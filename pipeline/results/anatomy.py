"""The order of the slices of a series in the patient."""

import math
import re
from collections.abc import Callable

from s2sw.connectors.geometry import Geometry, Vector
from s2sw.schemas.tables import Row

_ALIKE = 0.999  # cosine between the normals of slices of one stack
_PARTS = re.compile(r"(\d{1,18})")


def in_order(members: list[Row], plane_of: Callable[[Row], Geometry]) -> list[Row]:
    """Return slices of a series, with object_id, slice_index and uri, in anatomical order.

    That is by Image Position (Patient) along the normal of Image Orientation (Patient) (PS3.3 C.7.6.2.1.1),
    one stack of parallel slices after the other; slices at one place, and those without a place behind all
    others, by Instance Number (C.7.6.1), then by address.
    """
    stacks: list[Vector] = []

    def key(row: Row) -> tuple[bool, int, float, float, list[str | int], str, int]:
        plane = plane_of(row)
        height, normal = plane.height, plane.normal
        stack = _stack(stacks, normal) if normal is not None and height is not None else 0
        number = math.inf if plane.instance is None else plane.instance
        place = round(height, 3) if height is not None else 0.0
        address = _natural(row["uri"] or "")
        return height is None, stack, place, number, address, row["object_id"], row["slice_index"]

    return sorted(sorted(members, key=lambda row: _first(row, plane_of(row))), key=key)


def _first(row: Row, plane: Geometry) -> tuple[float, str, int]:
    """Sort stacks by their lowest number, whatever order the rows come in."""
    return math.inf if plane.instance is None else plane.instance, row["object_id"], row["slice_index"]


def _stack(stacks: list[Vector], normal: Vector) -> int:
    """Return the number of the stack whose slices lie in parallel; a new one is added."""
    for at, known in enumerate(stacks):
        if math.fsum(a * b for a, b in zip(known, normal, strict=True)) > _ALIKE:
            return at
    stacks.append(normal)
    return len(stacks) - 1


def _natural(text: str) -> list[str | int]:
    """Return what sorts ``slice-9`` before ``slice-10``: words and numbers take turns."""
    return [int(part) if at % 2 else part for at, part in enumerate(_PARTS.split(text))]
