"""A memory of normal pictures on pictures whose distances are known."""

import pytest
import torch
from torch.nn import functional

from s2sw.model.heads.stem_memory import HIGHEST, KINDS, compared, highest, memory_of, remember

SIDE, WIDTH = 5, 8
BASE = torch.randn(1, SIDE * SIDE, WIDTH, generator=torch.Generator().manual_seed(9))


def picture(seed, amount=0.1):
    """Two taps of a picture and its mirror image, (2, 25, 8): one scene with noise."""
    generator = torch.Generator().manual_seed(seed)
    taps = [BASE + amount * torch.randn(1, SIDE * SIDE, WIDTH, generator=generator) for _ in range(2)]
    return [torch.cat([tap, tap.reshape(1, SIDE, SIDE, WIDTH).flip(2).flatten(1, 2)]) for tap in taps]


def first(taps):
    return [tap[:1] for tap in taps]


def test_what_is_remembered_is_at_no_distance_and_others_farther_the_odder_they_are():
    memory = remember([picture(seed) for seed in range(3)])
    own, kin = memory.unlike(first(picture(1))), memory.unlike(first(picture(7)))
    zero = -memory.usual[0] / memory.usual[1]
    torch.testing.assert_close(own, torch.full((1, 25), float(zero)), atol=1e-3, rtol=0)
    odd = first(picture(7))
    odd[1] = odd[1].clone()
    odd[1][0, 12] *= -1
    found = memory.unlike(odd)
    assert int(found.argmax()) == 12
    assert float(found[0, 12]) > float(kin[0, 12]) + 3
    assert float(memory.picture(own)) < float(memory.picture(kin)) < float(memory.picture(found))


def test_usual_is_what_the_normal_pictures_are_from_each_other():
    pictures = [picture(seed) for seed in range(3)]
    memory = remember(pictures)
    rows = []
    for place in range(3):
        kinds = compared(first(pictures[place]))
        others = [compared(first(p)) for i, p in enumerate(pictures) if i != place]
        near = [
            1 - torch.cat([one @ other[k][0].T for other in others], dim=-1).amax(dim=-1)
            for k, one in enumerate(kinds)
        ]
        rows.append(torch.stack(near).mean(dim=0))
    assert float(memory.usual[0]) == pytest.approx(float(torch.cat(rows).mean()), abs=1e-6)


def test_one_picture_is_compared_with_its_mirror_image():
    alone, mirrored = remember([picture(0)]), picture(0)
    kinds, other = (compared([tap[row : row + 1] for tap in mirrored]) for row in (0, 1))
    near = [1 - (one @ two[0].T).amax(dim=-1) for one, two in zip(kinds, other, strict=True)]
    assert float(alone.usual[0]) == pytest.approx(float(torch.stack(near).mean()), abs=1e-6)
    assert len(alone.patches[0]) == SIDE * SIDE


def test_it_is_kept_and_found_again():
    memory = remember([picture(seed) for seed in range(2)])
    again = memory_of(memory.tensors(), torch.device("cpu"))
    taps = first(picture(5))
    assert torch.equal(memory.unlike(taps), again.unlike(taps))
    assert len(again.patches) == KINDS
    lengths = again.patches[1].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_the_highest_patches_are_averaged():
    tokens = torch.arange(25.0).reshape(1, 5, 5)
    assert float(highest(tokens)) == pytest.approx(sum(range(25 - HIGHEST, 25)) / HIGHEST)
    torch.testing.assert_close(compared([BASE, BASE])[0], functional.normalize(BASE, dim=-1))
