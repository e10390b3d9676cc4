"""Components that are joined slice by slice are those of the whole volume."""

import numpy as np
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from s2sw.pipeline.imaging.components import MOST, Components

VOLUMES = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=9))


def parts(volume: np.ndarray) -> list[tuple[tuple[int, int], ...]]:
    """Return the components: of each its slices, with its pixels there."""
    components = Components()
    for mask in volume:
        components.add(mask)
    found: dict[int, list[tuple[int, int]]] = {}
    for at, component, pixels in zip(*(one.tolist() for one in components.parts()), strict=True):
        found.setdefault(component, []).append((at, pixels))
    assert all(len({at for at, _ in one}) == len(one) for one in found.values())
    return sorted(tuple(one) for one in found.values())


def expected(volume: np.ndarray) -> list[tuple[tuple[int, int], ...]]:
    labels, count = scipy.ndimage.label(volume, np.ones((3, 3, 3)))
    sizes = [np.count_nonzero(labels == one, axis=(1, 2)) for one in range(1, count + 1)]
    return sorted(tuple((int(at), int(own[at])) for at in np.flatnonzero(own)) for own in sizes)


@given(VOLUMES)
def test_they_are_those_of_the_whole_volume(volume: np.ndarray) -> None:
    assert parts(volume) == expected(volume)


@given(array_shapes(min_dims=3, max_dims=3, max_side=24), st.integers(0, 2**32), st.floats(0.01, 0.3))
def test_sparse_ones_too(shape: tuple[int, ...], seed: int, share: float) -> None:
    volume = np.random.default_rng(seed).random(shape) < share
    assert parts(volume) == expected(volume)


def test_two_arms_that_meet_in_a_later_slice_are_one() -> None:
    volume = np.zeros((3, 5, 5), np.bool_)
    volume[:2, 0, [0, 4]] = True
    assert len(parts(volume)) == 2
    volume[2, 0] = True
    assert parts(volume) == [((0, 2), (1, 2), (2, 5))]


def test_a_slice_of_another_size_or_without_a_mask_touches_none() -> None:
    components = Components()
    components.add(np.ones((4, 4), np.bool_))
    components.add(np.ones((4, 5), np.bool_))
    components.add_unknown(7)
    components.add(np.ones((4, 5), np.bool_))
    slices, component, pixels = components.parts()
    assert slices.tolist() == [0, 1, 2, 3]
    assert len(set(component.tolist())) == 4
    assert pixels.tolist() == [16, 20, 7, 20]


def test_noise_is_one_region() -> None:
    dots = np.zeros((80, 80), np.bool_)
    dots[::2, ::2] = True
    assert dots.sum() > MOST
    components = Components()
    components.add(dots)
    _, component, pixels = components.parts()
    assert (len(component), pixels.tolist()) == (1, [1600])


def test_nothing_is_nothing() -> None:
    assert [len(one) for one in Components().parts()] == [0, 0, 0]
