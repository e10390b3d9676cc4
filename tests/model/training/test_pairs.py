"""Which two pictures the pair loss compares: mostly the first and another, one time in five any two."""

import random

import pytest
import torch

from s2sw.model.training.losses import pair_loss
from s2sw.model.training.prompt_learning import _pair


def test_draws() -> None:
    """Logits that tell each pair apart, so that the loss says which one was drawn."""
    values = torch.tensor([0.0, 1.0, 3.0, 7.0])
    logits, labels = torch.stack([torch.zeros(4), values], dim=1), torch.zeros(4)
    pairs = {
        round(float(pair_loss(logits, labels, a, b)), 4): (a, b) for a in range(4) for b in range(a + 1, 4)
    }
    assert len(pairs) == 6
    draw = random.Random(0)
    drawn = [pairs[round(float(_pair(logits, labels, draw)), 4)] for _ in range(3000)]
    share = sum(pair[0] == 0 for pair in drawn) / len(drawn)
    assert share == pytest.approx(0.8 + 0.2 / 2, abs=0.03)  # of any two, half hold the first
    assert set(drawn) == set(pairs.values())


def test_one_picture_has_no_pair() -> None:
    assert float(_pair(torch.ones(1, 2), torch.ones(1), random.Random(0))) == 0
