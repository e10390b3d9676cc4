"""Calibration on log odds whose probabilities are known."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from s2sw.model.detectors.embedded import EVIDENCE
from s2sw.model.embedded_training.calibration import (
    calibrated,
    calibration_error,
    fitted,
    no_calibration,
    reliability,
)


def drawn(count=4000, columns=1, seed=0):
    """Log odds three times too sure and shifted by one, and labels."""
    generator = torch.Generator().manual_seed(seed)
    true = 2 * torch.randn(count, columns, generator=generator)
    labels = (torch.rand(count, generator=generator) < torch.sigmoid(true.mean(dim=1))).float()
    return 3 * true + 1, labels


def test_a_line_is_scikit_learns():
    odds, labels = drawn(columns=3)
    found = fitted(odds, labels)
    reference = LogisticRegression(C=1e6).fit(odds.numpy(), labels.numpy())
    assert found[:-1].tolist() == pytest.approx(reference.coef_[0].tolist(), abs=0.01)
    assert float(found[-1]) == pytest.approx(float(reference.intercept_[0]), abs=0.01)


def test_a_line_is_the_same_for_what_a_detector_gives():
    """The few-shot weights are fitted to scores that were computed without gradients."""
    odds, labels = drawn(columns=2)
    expected = fitted(odds, labels)
    with torch.inference_mode():
        found = fitted(odds.clone(), labels.clone())
    torch.testing.assert_close(found, expected)


def test_what_is_too_sure_becomes_a_probability():
    odds, labels = drawn()
    line = fitted(odds, labels)
    before = torch.sigmoid(odds[:, 0])
    after = torch.sigmoid(odds @ line[:-1] + line[-1])
    assert calibration_error(before, labels) > 0.1
    assert calibration_error(after, labels) < 0.03


def test_a_set_that_is_told_apart_without_a_mistake_keeps_finite_slopes():
    odds = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
    assert 0 < float(fitted(odds, torch.tensor([0.0, 0, 1, 1]))[0]) < 100


def test_the_error_of_bins_is_their_distance_from_the_diagonal():
    scores, labels = torch.tensor([0.05, 0.05, 0.95, 0.95]), torch.tensor([0.0, 1, 1, 1])
    assert calibration_error(scores, labels) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
    assert reliability(scores, labels) == [
        (2, pytest.approx(0.05), 0.5),
        (2, pytest.approx(0.95), 1.0),
    ]
    assert calibration_error(torch.tensor([1.0]), torch.tensor([1])) == 0.0


def test_the_detectors_tensors():
    odds, labels = drawn(columns=len(EVIDENCE))
    plain, found = no_calibration(), calibrated(odds, labels)
    assert {n: t.shape for n, t in plain.items()} == {n: t.shape for n, t in found.items()}
    lines = found["calibration.families"]
    each = odds * lines[:, 0] + lines[:, 1]
    for column in range(len(EVIDENCE)):
        assert calibration_error(torch.sigmoid(each[:, column]), labels) < 0.05
    whole = torch.sigmoid(each @ found["calibration.image"][:-1] + found["calibration.image"][-1])
    assert calibration_error(whole, labels) < 0.03
