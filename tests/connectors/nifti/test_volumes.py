"""Volumes made of upright slices: back in a file's order, or stacked by their planes."""

import gzip
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.decode import decode
from s2sw.connectors.geometry import Geometry
from s2sw.connectors.nifti.volumes import filled_like, header_of, nifti_bytes, stacked
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError

ALL = DecodeSettings(nifti_volumes="all")
LEVEL = Geometry((2.0, 0.5), along_row=(1, 0, 0), along_col=(0, 0.6, 0.8), position=(1, 2, 3))


@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.sampled_from([(), (3,)]),
)
def test_what_is_decoded_goes_back_to_where_it_was(
    order: list[int], flips: tuple[int, ...], shape: tuple[int, ...], more: tuple[int, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(flips) @ np.diag([1.0, 2.0, 3.0]))[order]
    samples = np.random.default_rng(1).integers(1, 30_000, (*shape, *more)).astype(np.int16)
    data = nibabel.Nifti1Image(samples, affine).to_bytes()
    header = header_of(data, ALL)
    _, slices = decode(data, ALL, originals=True)
    planes = {at: one.original.values for at, one in enumerate(slices) if one.original is not None}
    np.testing.assert_array_equal(filled_like(header, planes), samples)  # type: ignore[arg-type]
    if len(planes) > 1:
        del planes[0]
        assert (filled_like(header, planes) == 0).any()  # type: ignore[arg-type]


def at(*heights: float) -> list[Geometry]:
    normal = np.asarray(LEVEL.normal)
    positions = (np.array([1, 2, 3]) + height * normal for height in heights)
    return [replace(LEVEL, position=tuple(map(float, position))) for position in positions]


def test_planes_have_places_by_their_heights_and_some_may_be_free() -> None:
    places, affine = stacked(at(7.5, 0, 2.5, 12.5001))
    assert places == [3, 0, 1, 5]
    column, row, step = affine[:3, :3].T * [-1, -1, 1]
    np.testing.assert_allclose(column, [0.5, 0, 0])
    np.testing.assert_allclose(row, [0, 1.2, 1.6])
    np.testing.assert_allclose(step, 2.5 * np.asarray(LEVEL.normal), atol=1e-4)
    np.testing.assert_allclose(affine[:3, 3], [-1, -2, 3])


def test_a_plane_alone_and_a_sheared_stack_have_a_place() -> None:
    assert stacked([LEVEL])[0] == [0]
    tilted = [replace(LEVEL, position=(1 + 0.4 * n, 2 + 1.1 * n, 3 + 2.0 * n)) for n in range(4)]
    places, affine = stacked(tilted)
    assert places in ([0, 1, 2, 3], [3, 2, 1, 0])
    np.testing.assert_allclose(np.abs(affine[:3, 2]), [0.4, 1.1, 2.0])


@pytest.mark.parametrize(
    "planes",
    [
        at(0, 2.5, 2.5),
        at(0, 1, 2.3),
        at(0, 1e-2, 1000),
        [replace(LEVEL, position=None)],
        [replace(LEVEL, along_row=None)],
        [replace(LEVEL, spacing=None)],
        [replace(LEVEL, in_patient=False)],
        [LEVEL, replace(LEVEL, position=(1, 1.2, 3.6)), replace(LEVEL, position=(9, 0.4, 4.2))],
    ],
    ids=["twice", "unequal", "far", "nowhere", "no direction", "no size", "projection", "bent"],
)
def test_what_is_no_stack_is_refused(planes: list[Geometry]) -> None:
    with pytest.raises(ScreeningError):
        stacked(planes)


def test_a_volume_without_directions_has_sizes_alone() -> None:
    image = nibabel.Nifti1Image.from_bytes(
        gzip.decompress(nifti_bytes(np.zeros((3, 4, 5), np.uint8), np.diag([2.0, 3, 4, 1]), False))
    )
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (0, 0)
    assert image.header.get_zooms() == (2, 3, 4)
