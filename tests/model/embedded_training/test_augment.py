"""Changes of features in training: both twins alike, and the same for a seed and step."""

from dataclasses import replace

import pytest
import torch

from s2sw.model.embedded_training.augment import generator_of, restyled, shown
from s2sw.model.embedded_training.recipe import Recipe
from s2sw.model.towers.shapes import Dinov2Shape, StemShape
from s2sw.model.towers.stem import describe

SHAPE = StemShape(Dinov2Shape(64, 2, 1, 14, 25, 0), (1, 2), 5)
RECIPE = Recipe(batch=8, restyled=1.0)


@pytest.fixture
def features():
    made = torch.randn(8, 25, SHAPE.features, generator=torch.Generator().manual_seed(0))
    levels = torch.arange(4.0).repeat_interleave(2).view(-1, 1, 1)
    made = made * (1 + levels) + 10 * levels
    made[1::2] = made[0::2]
    made[1::2, 7, :3] += 5  # the defect
    return made


def test_twins_differ_by_the_defect_alone(features):
    found = restyled(features, RECIPE, SHAPE, generator_of(RECIPE, 3))
    apart = (found[1::2] - found[0::2]).abs() > 1e-3
    assert apart[:, 7, :3].all()
    assert int(apart.sum()) == 4 * 3
    visible = shown(RECIPE, SHAPE, generator_of(RECIPE, 3))
    assert torch.equal(visible[0::2], visible[1::2])


def test_a_style_lies_between_its_own_and_another_and_what_is_relative_stays(features):
    found = restyled(features, RECIPE, SHAPE, generator_of(RECIPE, 3))
    means = features[0::2, :, : SHAPE.components].mean(dim=1)
    new = found[0::2, :, : SHAPE.components].mean(dim=1)
    assert (new >= means.amin(dim=0) - 1e-3).all()
    assert (new <= means.amax(dim=0) + 1e-3).all()
    assert (new - means).abs().max() > 1
    assert torch.equal(found[..., SHAPE.components :], features[..., SHAPE.components :])
    before, after = (describe(one, SHAPE)[..., SHAPE.features :] for one in (features, found))
    torch.testing.assert_close(before, after, atol=0.3, rtol=0.1)


def test_a_seed_and_step_repeat_and_none_changes_nothing(features):
    first, again, other = (
        restyled(features, RECIPE, SHAPE, generator_of(RECIPE, step)) for step in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    none = replace(RECIPE, restyled=0.0)
    assert restyled(features, none, SHAPE, generator_of(none, 1)) is features


def test_pairs_that_are_blind_see_what_is_relative_alone():
    recipe = replace(RECIPE, blind=1.0, dropped=0.0)
    visible = shown(recipe, SHAPE, generator_of(recipe, 0))
    assert not visible[..., : SHAPE.features].any()
    assert visible[..., SHAPE.features :].all()
