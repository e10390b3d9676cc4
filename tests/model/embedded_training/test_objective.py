"""The training objective on logits whose losses are known."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from s2sw.model.embedded_training.check import auroc
from s2sw.model.embedded_training.objective import (
    PRIOR,
    TWIN_MARGIN,
    peak_loss,
    pixel_loss,
    rank_loss,
    twin_loss,
)


def masks(*corners):
    """Masks (B, 75, 75): a defect of 3 x 3 cells, one patch, at each corner; None is no defect."""
    made = torch.zeros(len(corners), 75, 75)
    for mask, corner in zip(made, corners, strict=True):
        if corner is not None:
            row, column = corner
            mask[3 * row : 3 * row + 3, 3 * column : 3 * column + 3] = 1
    return made


def logits(count, hit=(), value=12.0):
    made = torch.full((count, 625), -value)
    for picture, row, column in hit:
        made[picture, 25 * row + column] = value
    return made


def test_right_maps_cost_less_than_wrong_ones():
    truth = masks(None, (3, 4))
    for loss in (pixel_loss, rank_loss):
        right, missed = loss(logits(2, [(1, 3, 4)]), truth), loss(logits(2), truth)
        wrong, false_alarm = (
            loss(logits(2, [(1, 9, 9)]), truth),
            loss(logits(2, [(0, 1, 1), (1, 3, 4)]), truth),
        )
        assert right < missed <= wrong
        assert right < false_alarm


def test_small_and_large_defects_count_alike_in_the_order():
    small, large = masks((3, 4)), torch.zeros(1, 75, 75)
    large[:, :36, :36] = 1
    nothing = logits(1, value=5.0)
    assert float(rank_loss(nothing, small)) == pytest.approx(float(rank_loss(nothing, large)), rel=0.02)


def test_order_is_indifferent_at_natural_odds():
    """At the logit of the prior a cell's two errors weigh the same, so maps keep natural odds."""
    at = torch.full((1, 625), -PRIOR, requires_grad=True)
    rank_loss(at, masks((0, 0))).backward()
    assert float(at.grad.sum()) == pytest.approx(0.0, abs=1e-6)


def test_twins_are_pushed_apart_in_one_direction():
    apart = torch.zeros(4, 2, 2)
    apart[:, 1, 1] = 10 * TWIN_MARGIN
    assert float(twin_loss(apart)) < 1e-3
    assert float(twin_loss(-apart)) > 10 * TWIN_MARGIN


def test_the_highest_patches_are_the_pictures_logit():
    found, missed = logits(2, [(1, 3, place) for place in range(6)]), logits(2)
    labels = torch.tensor([0, 1])
    assert float(peak_loss(found, labels)) < 1e-3
    assert float(peak_loss(missed, labels)) > 4
    alarm = logits(2, [(0, 3, place) for place in range(6)] + [(1, 3, place) for place in range(6)])
    assert float(peak_loss(alarm, labels)) > 4


def test_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 9, 200) / 9, rng.integers(0, 2, 200)
    found = auroc(torch.from_numpy(scores), torch.from_numpy(labels))
    assert found == pytest.approx(roc_auc_score(labels, scores))
