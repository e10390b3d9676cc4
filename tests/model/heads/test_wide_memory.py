"""Neighbourhoods compared from one product a tap against those compared one by one."""

import pytest
import torch
from torch.nn import functional

from s2sw.model.heads import memory, wide_memory
from s2sw.model.heads.memory import Memory, nearest_row, remembered
from s2sw.model.heads.neighbourhoods import Neighbourhoods
from s2sw.model.heads.wide_memory import WideMemory

GRID, WIDTH, TAPS, KEPT = 6, 24, 2, 3


def random(*shape, seed):
    """Patches of lengths that differ a lot, as a tower's do."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.rand(*shape[:-1], 1, generator=generator).mul(3).exp()
    return torch.randn(*shape, generator=generator) * lengths


@pytest.fixture(scope="module")
def around():
    return Neighbourhoods(GRID, torch.device("cpu"))


@pytest.fixture(scope="module")
def kept():
    return [{f"tap_{n}": random(KEPT, GRID**2, WIDTH, seed=10 * c + n) for n in range(TAPS)} for c in (1, 2)]


def one_by_one(around, kept, taps, classes):
    """The distances of each neighbourhood to the same one of the memory."""
    known = [
        {str(n): remembered(p) for n, p in enumerate(p for tap in own.values() for p in around.patches(tap))}
        for own in kept
    ]
    several = {str(n): p for n, p in enumerate(p for tap in taps for p in around.patches(tap))}
    return Memory(known).distances(several, classes)


@pytest.mark.parametrize("classes", [[0, 1, 0], [1, 1, 1]])
@pytest.mark.parametrize("at_once", [1, 1 << 25])
def test_they_are_equal(around, kept, monkeypatch, classes, at_once):
    monkeypatch.setattr(wide_memory, "PAIRS_AT_ONCE", at_once)
    classes = torch.tensor(classes)
    taps = [random(3, GRID**2, WIDTH, seed=n) for n in range(TAPS)]
    found = WideMemory(kept, around, torch.float32).distances(taps, classes)
    torch.testing.assert_close(found, one_by_one(around, kept, taps, classes), rtol=0, atol=2e-6)


def test_bfloat16_is_close_and_a_remembered_picture_near(around, kept):
    taps = [tap[:1] for tap in kept[0].values()]
    classes = torch.zeros(1, dtype=torch.int64)
    assert WideMemory(kept, around, torch.float32).distances(taps, classes).max() < 2e-6
    low = WideMemory(kept, around, torch.bfloat16)
    assert low.distances(taps, classes).max() < 1e-2
    other = [random(1, GRID**2, WIDTH, seed=n) for n in range(TAPS)]
    apart = low.distances(other, classes) - one_by_one(around, kept, other, classes)
    assert apart.abs().max() < 1e-2


@pytest.mark.parametrize("at_once", [1, 1 << 25])
def test_the_nearest_row(monkeypatch, at_once):
    monkeypatch.setattr(memory, "PAIRS_AT_ONCE", at_once)
    known = functional.normalize(random(40, WIDTH, seed=1), dim=-1)
    unit = functional.normalize(random(2, 9, WIDTH, seed=2), dim=-1)
    expected = (unit @ known.T).argmax(dim=-1)
    assert torch.equal(nearest_row(unit, known), expected)
    chosen = nearest_row(unit, known.bfloat16())
    lost = (unit * known[expected]).sum(dim=-1) - (unit * known[chosen]).sum(dim=-1)
    assert lost.abs().max() < 4e-3
