"""Distances to the rest of the picture, on pictures whose odd patches are known."""

import pytest
import torch
from torch.nn import functional

from s2sw.model.towers.self_similarity import NEAREST, SCALE, unlike, unlike_numbers

GRID, GROUPS = 7, (4, 6)
MEASURES = len(NEAREST) * (len(GROUPS) + 1)


def picture(*odd, group=0):
    """Patches (1, 49, 10) that differ by little, but for odd ones (row, column) in one group of features."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.ones(1, GRID * GRID, sum(GROUPS)) + 0.01 * torch.randn(
        1, GRID * GRID, sum(GROUPS), generator=generator
    )
    part = patches.split(GROUPS, dim=-1)[group]
    for row, column in odd:
        part[:, row * GRID + column] *= torch.tensor([1.0, -1.0]).repeat(part.shape[-1] // 2)
    return patches


@pytest.mark.parametrize("group", [0, 1])
def test_what_is_found_once_stands_out_in_its_group(group):
    found = unlike(picture((2, 5), group=group), GROUPS)[0]
    assert found.shape == (GRID * GRID, unlike_numbers(len(GROUPS)))
    own, other = (slice(len(NEAREST) * g, len(NEAREST) * (g + 1)) for g in (group, 1 - group))
    assert (found[:, own].argmax(dim=0) == 2 * GRID + 5).all()
    assert (found[:, MEASURES:][:, own][2 * GRID + 5] > 3).all()  # relative to the picture
    assert found[:, other].max() < 0.01 * SCALE


def test_a_defect_over_two_patches_does_not_excuse_itself():
    together, apart = unlike(picture((3, 3), (3, 4)), GROUPS)[0], unlike(picture((3, 3), (0, 0)), GROUPS)[0]
    odd = 3 * GRID + 3
    assert together[odd, 0] > 0.5 * SCALE
    assert apart[odd, 0] < 0.01 * SCALE  # there is another like it, far away
    assert apart[odd, 1] > 0.2 * SCALE  # but not four


def test_distances_are_one_minus_the_cosine():
    patches = torch.randn(2, 25, 10, generator=torch.Generator().manual_seed(1))
    found = unlike(patches, GROUPS)
    whole = found[..., 2 * len(NEAREST)]  # of all features, to the nearest one
    cosine = functional.cosine_similarity(patches[1, 12], patches[1], dim=-1)
    far = [r * 5 + c for r in range(5) for c in range(5) if max(abs(r - 2), abs(c - 2)) > 1]
    torch.testing.assert_close(whole[1, 12], SCALE * (1 - cosine[far].max()))


def test_a_row_does_not_depend_on_its_neighbours():
    patches = torch.randn(3, 25, 10, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(unlike(patches[1:2], GROUPS), unlike(patches, GROUPS)[1:2])


def test_flat_pictures_stay_flat():
    found = unlike(torch.full((1, 25, 10), 2.0), GROUPS)
    assert found.abs().max() < 1e-4
