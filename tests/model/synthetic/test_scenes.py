"""Generated pictures: of every kind, repeatable, with masks that say where the defect is."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from s2sw.model.synthetic.blemishes import blemish
from s2sw.model.synthetic.camera import PICTURE, WHOLE, draw_camera
from s2sw.model.synthetic.fields import SIDE
from s2sw.model.synthetic.kinds import DEFECTS, HELD_OUT_DEFECTS, HELD_OUT_SURFACES, OWN_ONLY, READ, SURFACES
from s2sw.model.synthetic.scenes import (
    CLEAR,
    Mixture,
    draw_kin,
    draw_pair,
    held_out_mixture,
    training_mixture,
)

FREE = [name for name in DEFECTS if name not in OWN_ONLY]


def pair(seed, surfaces=("plain",), defects=FREE, difficulty=0.5):
    return draw_pair(np.random.default_rng(seed), Mixture(surfaces, defects, difficulty))


def difference(normal, defective):
    return np.abs(normal.picture.astype(int) - defective.picture.astype(int)).mean(axis=2)


def as_large(mask):
    """A mask at the picture's size."""
    return np.asarray(Image.fromarray(mask).resize((PICTURE, PICTURE), Image.Resampling.NEAREST), bool)


@pytest.mark.parametrize("surface", SURFACES)
def test_every_surface(surface):
    if surface in READ and find_spec("skimage") is None:
        pytest.skip("photographs are read from scikit-image, which is not installed")
    normal, defective = pair(1, [surface])
    for scene in (normal, defective):
        assert scene.picture.shape == (PICTURE, PICTURE, 3)
        assert scene.picture.dtype == np.uint8
        assert scene.mask.shape == (SIDE, SIDE)
        assert scene.surface == surface
    assert not normal.mask.any()
    assert defective.mask.any()
    assert normal.picture.std() > 1 or surface == "blank"


@pytest.mark.parametrize("defect", FREE)
def test_every_defect_changes_the_picture_inside_its_mask(defect):
    inside, outside, found = [], [], 0
    for seed in range(4):
        normal, defective = pair(seed, ["granular", "woven", "mesh", "terrazzo"], [defect])
        changed = difference(normal, defective)
        mask = as_large(defective.mask)
        inside.append(changed[mask].mean())
        outside.append(changed[~mask].mean())
        found += defective.defect == defect
    assert found >= 2  # where it would not be seen a hole takes its place
    assert np.mean(inside) > 3 * np.mean(outside)


def test_a_dim_cell_is_dim():
    pairs = [pair(seed, ["solar_cell"], ["dimmed"]) for seed in range(5)]
    dim = [(n, d) for n, d in pairs if d.defect == "dimmed"]
    assert dim
    assert all(d.picture.mean() < 0.85 * n.picture.mean() for n, d in dim)
    assert all(d.mask.mean() > 0.5 for _, d in dim)


def test_a_seed_repeats_and_another_differs():
    first, again, other = (pair(seed, list(SURFACES))[1] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.picture, again.picture)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert (first.picture != other.picture).any()


def test_difficulty_makes_defects_smaller_and_fainter():
    def mean_area(difficulty):
        return np.mean([pair(seed, ["plain"], ["hole"], difficulty)[1].mask.mean() for seed in range(32)])

    assert mean_area(1.0) < 0.8 * mean_area(0.0)


def test_training_never_draws_what_is_held_out():
    mixture = training_mixture(1.0)
    assert not set(mixture.surfaces) & set(HELD_OUT_SURFACES)
    assert not set(mixture.defects) & set(HELD_OUT_DEFECTS)
    assert set(held_out_mixture().surfaces) == set(HELD_OUT_SURFACES)
    assert set(HELD_OUT_DEFECTS) <= set(held_out_mixture().defects)
    assert set(mixture.surfaces) | set(HELD_OUT_SURFACES) | set(READ) == set(SURFACES)
    assert not set(mixture.surfaces) & set(READ)
    assert set(READ) <= set(training_mixture(1.0, photographs=True).surfaces)


def test_blemishes_are_fainter_than_defects():
    """What is on normal pictures changes them by less than what has to be found."""
    changes = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        surface = SURFACES["plain"](rng)
        before = surface.image.copy()
        blemish(rng, surface)
        changes.append(np.abs(surface.image - before).mean(axis=2))
    assert max(change.max() for change in changes) > 0
    assert np.mean([change[change > 0].mean() if change.any() else 0 for change in changes]) < CLEAR


def test_a_window_shows_part_of_the_scene_with_its_defect():
    """Pictures and masks are cut alike: what changed lies inside the mask, as without a window."""
    inside, outside, cut = [], [], 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        camera = draw_camera(rng)
        cut += camera.window != WHOLE
        normal, defective = pair(seed + 100, ["granular", "woven"], ["hole"])
        changed, mask = difference(normal, defective), as_large(defective.mask)
        inside.append(changed[mask].mean())
        outside.append(changed[~mask].mean())
    assert 2 <= cut <= 9
    assert np.mean(inside) > 3 * np.mean(outside)
    window = replace(draw_camera(np.random.default_rng(0)), window=(slice(0, 120), slice(60, 240)), turn=0)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:60, 60:150] = True
    framed = replace(window, mirror=False).framed(mask)
    assert framed.shape == (SIDE, SIDE)
    assert framed[:118, :118].all()
    assert not framed[122:].any()
    assert not framed[:, 122:].any()


def test_pictures_of_one_kind_are_alike_and_not_the_same():
    normals, (normal, defective) = draw_kin(np.random.default_rng(2), Mixture(["woven"], ["hole"], 0.3), 3)
    assert len(normals) == 3
    assert not any(scene.mask.any() for scene in (*normals, normal))
    assert defective.mask.any()
    levels = [scene.picture.mean() for scene in (*normals, normal)]
    assert max(levels) - min(levels) < 25
    assert all((one.picture != normal.picture).any() for one in normals)
