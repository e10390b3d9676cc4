"""Zero-shot evidence and rarity in one unit, one score and one map."""

import numpy as np
import pytest
import torch

from s2sw.model.rarity.combination import (
    combination_of,
    combine,
    evidence_of,
    log_odds,
    squashed,
    usual_of,
)

COUNT, PATCHES, TAPS = 60, 100, 2


@pytest.fixture
def bank() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return torch.rand(COUNT), torch.rand(COUNT, PATCHES), 0.3 + 0.1 * torch.rand(COUNT, TAPS, PATCHES)


def test_evidence_is_that_of_a_plain_loop(bank: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    scores, tokens, rare = bank
    found = evidence_of(usual_of(*bank), scores, tokens, rare)
    distances = rare.double().numpy()
    standard = [(distances[:, t] - distances[:, t].mean()) / distances[:, t].std() for t in range(TAPS)]
    mean = sum(standard) / TAPS
    patches = (mean - mean.mean()) / mean.std()
    np.testing.assert_allclose(found.patches, patches, atol=1e-4)
    pictures = patches.max(axis=1)  # one in a hundred patches
    np.testing.assert_allclose(found.rarity, (pictures - pictures.mean()) / pictures.std(), atol=1e-3)
    odds = np.log((scores / (1 - scores)).numpy())
    np.testing.assert_allclose(found.score, (odds - odds.mean()) / odds.std(), atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_one_half_is_what_few_of_the_bank_reach(
    bank: tuple[torch.Tensor, torch.Tensor, torch.Tensor], weight: float
) -> None:
    usual = usual_of(*bank)
    combination = combination_of(usual, evidence_of(usual, *bank), weight)
    found = [combine(combination, *picture) for picture in zip(*bank, strict=True)]
    assert sum(one.rank > 0.5 for one in found) == COUNT * 0.05
    above = torch.stack([one.tokens for one in found]) > 0.5
    assert float(above.float().mean()) == pytest.approx(0.005, abs=1e-3)
    if weight == 0:  # the order of zero-shot scores stays
        assert np.argsort([one.rank for one in found]).tolist() == bank[0].argsort().tolist()


def test_values_stay_apart_and_finite() -> None:
    large = squashed(torch.tensor([-1e4, -50.0, 0.0, 50.0, 60.0, 1e4]))
    assert large[2] == 0.5
    assert (large.diff() > 0).all()
    assert 0 <= large.min() <= large.max() <= 1
    assert torch.isfinite(log_odds(torch.tensor([0.0, 1.0]))).all()
    same = torch.ones(8), torch.zeros(8, 9), torch.zeros(8, TAPS, 9)  # a bank of one picture's copies
    usual = usual_of(*same)
    assert np.isfinite(
        combine(combination_of(usual, evidence_of(usual, *same), 0.7), *(s[0] for s in same)).rank
    )
