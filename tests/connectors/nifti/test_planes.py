"""Upright slices keep their way back to stored samples and to millimetres."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from s2sw.connectors.decode import decode
from s2sw.connectors.nifti.header import read_header
from s2sw.connectors.nifti.planes import plane_of, to_stored
from s2sw.schemas.decoding import DecodeSettings

SHAPE = (5, 6, 7)
ORIENTATIONS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def volume(order: tuple[int, ...], signs: tuple[int, ...], axis: str) -> tuple[bytes, DecodeSettings]:
    affine = np.zeros((4, 4))
    for stored, (canonical, sign) in enumerate(zip(order, signs, strict=True)):
        affine[canonical, stored] = sign * (0.5, 0.75, 2.0)[stored]
    affine[:, 3] = (-31.5, 12.25, 7.0, 1)
    turn = np.deg2rad(9)
    tilt = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    affine[:3, :3] = tilt @ affine[:3, :3]
    samples = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    image = nibabel.Nifti1Image(samples, affine)
    image.header.set_slope_inter(1, 0)
    data: bytes = image.to_bytes()
    return data, DecodeSettings.model_validate({"nifti_axis": axis})


@pytest.mark.parametrize("axis", ["sagittal", "coronal", "axial"])
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_originals_lie_where_the_affine_says(
    order: tuple[int, ...], signs: tuple[int, ...], axis: str
) -> None:
    data, settings = volume(order, signs, axis)
    image = nibabel.Nifti1Image.from_bytes(data)
    header = read_header(data[:540], settings)
    for index, picture in enumerate(decode(data, settings, originals=True)[1]):
        original = picture.original
        assert original is not None
        assert original.values is not None
        assert original.values.shape == picture.pixels.shape
        way = to_stored(header, index)
        plane = plane_of(header, index)
        assert picture.geometry == plane
        assert plane.position is not None
        assert plane.along_row is not None
        assert plane.along_col is not None
        assert plane.spacing is not None
        for row, col in ((0, 0), (1, 2), (original.values.shape[0] - 1, original.values.shape[1] - 1)):
            stored = way @ (col, row, 1)
            assert original.values[row, col] == np.asarray(image.dataobj)[tuple(stored[:3].astype(int))]
            here = np.array(plane.position) + col * plane.spacing[1] * np.array(plane.along_row)
            here += row * plane.spacing[0] * np.array(plane.along_col)
            np.testing.assert_allclose(here * [-1, -1, 1], (image.affine @ stored)[:3], atol=1e-4)
    # the picture is upright: right or front on the left
    assert plane.marks is not None
    assert (plane.marks[0][0], plane.marks[2][0]) == {"sagittal": ("A", "H"), "coronal": ("R", "H")}.get(
        axis, ("R", "A")
    )


def test_units_are_millimetres_and_a_header_without_a_form_has_no_directions() -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([2e-3, 3e-3, 4e-3, 1]))
    image.header.set_xyzt_units("meter")
    header = read_header(image.to_bytes()[:540], DecodeSettings())
    assert plane_of(header, 0).spacing == pytest.approx((3, 2), rel=1e-5)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    plane = plane_of(read_header(image.to_bytes()[:540], DecodeSettings()), 0)
    assert plane.spacing == pytest.approx((3, 2), rel=1e-5)
    assert plane.marks is None
