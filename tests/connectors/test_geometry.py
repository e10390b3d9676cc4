"""Planes: what is believed of a header, and the letters of edges."""

import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.geometry import (
    Geometry,
    aspect_of,
    columns_of,
    directions_of,
    letters,
    marks_of,
    opposite,
    plane_from,
    spacing_of,
    vector_of,
)

anything = st.lists(st.floats(), max_size=8)


@given(anything)
def test_numbers_from_a_header_are_believed_only_where_they_can_be_meant(values: list[float]) -> None:
    spacing, vector, directions = spacing_of(values), vector_of(values), directions_of(values)
    assert spacing is None or all(1e-6 <= value <= 1e4 for value in spacing)
    assert vector is None or all(math.isfinite(value) for value in vector)
    assert 1 / 20 <= aspect_of(values) <= 20
    if directions is not None:
        assert abs(np.dot(*directions)) < 0.01
        assert set("".join(marks_of(*directions))) <= set("LRAPHF")


def test_letters_name_the_strongest_axis_first() -> None:
    assert letters((1, 0, 0)) == "L"
    assert letters((-0.8, 0.6, 0)) == "RP"
    assert letters((0.1, -0.5, 0.86)) == "HA"
    assert opposite("RP") == "LA"
    assert marks_of((1, 0, 0), (0, 1, 0)) == ("R", "L", "A", "P")


def test_the_height_is_the_position_along_the_normal() -> None:
    axial = Geometry(along_row=(1, 0, 0), along_col=(0, 1, 0), position=(-120, -90, 34.5))
    sagittal = Geometry(along_row=(0, 1, 0), along_col=(0, 0, -1), position=(17, 3, 4))
    assert axial.height == 34.5
    assert sagittal.height == -17
    assert Geometry(position=(1, 2, 3)).height is None


@given(anything, anything, anything, st.none() | st.floats(allow_nan=False))
def test_a_plane_comes_back_from_its_columns(
    spacing: list[float], directions: list[float], position: list[float], number: float | None
) -> None:
    columns = {
        "pixel_spacing": spacing, "image_orientation": directions, "image_position": position,
        "instance_number": number,
    }  # fmt: skip
    plane = plane_from(columns)
    assert plane_from(columns_of(plane)) in (plane, replace(plane, position=None))


def test_the_columns_of_a_plane_are_dicom_s_attributes() -> None:
    axial = Geometry((0.5, 0.7), True, 0.5 / 0.7, (1, 0, 0), (0, 1, 0), (3, 4, 5), None, 7)
    columns = columns_of(axial)
    assert columns == {
        "pixel_spacing": [0.5, 0.7], "image_orientation": [1, 0, 0, 0, 1, 0], "image_position": [3, 4, 5],
        "instance_number": 7,
    }  # fmt: skip
    assert plane_from(columns).height == 5
    assert columns_of(replace(axial, in_patient=False))["pixel_spacing"] is None  # sizes at a detector
    assert set(columns_of(Geometry()).values()) == {None}
