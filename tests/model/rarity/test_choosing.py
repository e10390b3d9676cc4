"""The weight of rarity follows what finds seeded defects, else it stays at the constant."""

import numpy as np
import pytest
import torch

from s2sw.model.rarity.choosing import (
    BUDGET,
    CONSTANT,
    LEAST_SEEDS,
    choose_weight,
    detection_limits,
    placements,
    resemblance,
)
from s2sw.model.rarity.combination import Evidence
from s2sw.model.rarity.seeding import KINDS, LEAST_CONTRAST, WHOLE, seeded


def evidence(count: int, score: float, rarity: float, seed: int) -> Evidence:
    torch.manual_seed(seed)
    nothing = torch.zeros(count, 1)
    return Evidence(score + torch.randn(count), rarity + torch.randn(count), nothing, nothing)


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [((3.0, 0.0), (0.0, 0.3)), ((0.0, 3.0), (0.7, 1.0)), ((0.0, 0.0), (CONSTANT, CONSTANT))],
)
def test_the_evidence_that_finds_defects_counts(
    shifts: tuple[float, float], expected: tuple[float, float]
) -> None:
    weight = choose_weight(evidence(200, 0, 0, 1), evidence(60, *shifts, seed=2))
    assert expected[0] <= weight <= expected[1]


def test_what_defects_do_not_tell_apart_is_drawn_towards_what_is_expected() -> None:
    siblings, defects = evidence(200, 0, 0, 1), evidence(60, 0.2, 0.2, 2)
    assert choose_weight(siblings, defects) == CONSTANT
    assert choose_weight(siblings, defects, expected=0.0) == 0.0
    found_by_rarity_alone = evidence(60, 0.0, 3.0, 2)
    assert choose_weight(siblings, found_by_rarity_alone, expected=0.0) >= 0.3


def test_few_defects_say_nothing() -> None:
    siblings, few = evidence(50, 0, 0, 1), evidence(LEAST_SEEDS - 1, 9, 0, 2)
    assert choose_weight(siblings, few) == CONSTANT
    assert choose_weight(siblings, few, expected=0.0) == 0.0


def test_placements_are_shares_below() -> None:
    found = placements(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 2.0, 3.5]))
    assert found.tolist() == [0.0, 0.375, 0.75]


def test_pictures_of_one_kind_resemble_each_other() -> None:
    torch.manual_seed(0)
    patches = torch.nn.functional.normalize(torch.randn(25, 32), dim=-1)
    assert resemblance(torch.full((2, 25), 0.01), [patches, patches]) < 1
    alike = torch.nn.functional.normalize(torch.ones(25, 32) + 0.05 * torch.randn(25, 32), dim=-1)
    assert resemblance(torch.full((2, 25), 0.5), [alike, alike]) > 1


def test_limits_count_every_defect_once() -> None:
    torch.manual_seed(5)
    siblings, spoilt = torch.randn(100), torch.randn(40) + 1
    sizes, contrasts = torch.rand(40) * 0.02, torch.rand(40) * 0.3
    limits = detection_limits(siblings, spoilt, sizes, contrasts)
    cut = float(np.quantile(siblings, 1 - BUDGET))
    assert sum(limit.seeds for limit in limits) == 40
    assert sum(limit.found for limit in limits) == sum(float(one) > cut for one in spoilt)
    small = [limit for limit in limits if limit.size == limits[0].size]
    assert sum(limit.seeds for limit in small) == int((sizes <= limits[0].size).sum())
    assert not any(limit.whole for limit in limits)


def test_changes_of_whole_pictures_are_counted_apart() -> None:
    torch.manual_seed(6)
    siblings, spoilt, contrasts = torch.randn(100), torch.randn(30), torch.rand(30) * 0.3
    sizes = torch.cat([torch.rand(20) * 0.4, torch.full((10,), WHOLE)])
    limits = detection_limits(siblings, spoilt, sizes, contrasts)
    local = detection_limits(siblings, spoilt[:20], sizes[:20], contrasts[:20])
    assert [limit for limit in limits if not limit.whole] == local
    changes = [limit for limit in limits if limit.whole]
    cut = float(np.quantile(siblings, 1 - BUDGET))
    assert {limit.size for limit in changes} == {WHOLE}
    assert sum(limit.seeds for limit in changes) == 10
    assert sum(limit.found for limit in changes) == sum(float(one) > cut for one in spoilt[20:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_changes_one_place_and_says_how_much(kind: str) -> None:
    rng = np.random.default_rng(4)
    picture, donor = (rng.integers(60, 200, (350, 350, 3), dtype=np.uint8) for _ in range(2))
    seeds = [seeded(np.random.default_rng(n), picture, donor, kind) for n in range(4)]
    found = [seed for seed in seeds if seed]
    assert found
    for seed in found:
        change = np.abs(seed.picture.astype(int) - picture).mean(axis=2) / 255
        assert seed.picture.shape == picture.shape
        assert (change > 0.004).mean() < 0.6
        assert seed.contrast >= LEAST_CONTRAST
        assert 0 < seed.size < 0.5
    again = seeded(np.random.default_rng(0), picture, donor, kind)
    assert seeds[0] is again is None or np.array_equal(seeds[0].picture, again.picture)
