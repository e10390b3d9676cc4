"""Distances to the rest of the picture, on pictures whose odd patches are known."""

import torch
from torch.nn import functional

from s2sw.model.towers.self_similarity import around, nearest_elsewhere, unlike
from s2sw.model.towers.shapes import NEAREST, unlike_numbers

GRID, WIDTH = 7, 10


def picture(*odd):
    """Patches (1, 49, 10) that differ by little, but for odd ones (row, column)."""
    generator = torch.Generator().manual_seed(0)
    patches = torch.ones(1, GRID * GRID, WIDTH) + 0.01 * torch.randn(
        1, GRID * GRID, WIDTH, generator=generator
    )
    for row, column in odd:
        patches[:, row * GRID + column] *= torch.tensor([1.0, -1.0]).repeat(WIDTH // 2)
    return patches


def test_what_is_found_once_stands_out_alone_and_in_its_neighbourhood():
    found = unlike([picture((3, 3)), picture()])[0]
    assert found.shape == (GRID * GRID, unlike_numbers(2))
    single, mean, *other = found.split(len(NEAREST), dim=1)
    assert (single.argmax(dim=0) == 3 * GRID + 3).all()
    assert (single[3 * GRID + 3] > 0.5).all()
    assert (mean.argmax(dim=0) == 3 * GRID + 3).all()
    assert max(float(one.max()) for one in other) < 0.01


def test_a_defect_over_two_patches_does_not_excuse_itself():
    together, apart = unlike([picture((3, 3), (3, 4))])[0], unlike([picture((3, 3), (0, 0))])[0]
    odd = 3 * GRID + 3
    assert together[odd, 0] > 0.5
    assert apart[odd, 0] < 0.01  # there is another like it, far away
    assert apart[odd, 1] > 0.2  # but not eight


def test_distances_are_one_minus_the_cosine():
    patches = torch.randn(2, 25, 10, generator=torch.Generator().manual_seed(1))
    found = nearest_elsewhere(functional.normalize(patches, dim=-1))
    cosine = functional.cosine_similarity(patches[1, 12], patches[1], dim=-1)
    far = [r * 5 + c for r in range(5) for c in range(5) if max(abs(r - 2), abs(c - 2)) > 1]
    torch.testing.assert_close(found[1, 12, 0], 1 - cosine[far].max())
    torch.testing.assert_close(found[1, 12, 1], 1 - cosine[far].topk(8).values.mean())
    torch.testing.assert_close(unlike([patches])[..., :2], found)


def test_neighbourhoods_are_means_of_what_is_there():
    patches = torch.randn(1, 25, 3, generator=torch.Generator().manual_seed(2))
    square, found = patches.reshape(5, 5, 3), around(patches).reshape(5, 5, 3)
    torch.testing.assert_close(found[0, 0], functional.normalize(square[:2, :2].mean(dim=(0, 1)), dim=0))
    torch.testing.assert_close(found[2, 3], functional.normalize(square[1:4, 2:].mean(dim=(0, 1)), dim=0))


def test_a_row_does_not_depend_on_its_neighbours():
    patches = torch.randn(3, 25, 10, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(unlike([patches[1:2]]), unlike([patches])[1:2])


def test_flat_pictures_stay_flat():
    assert unlike([torch.full((1, 25, 10), 2.0)]).abs().max() < 1e-5
