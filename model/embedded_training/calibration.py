"""From what a trained network says to probabilities: logistic regressions on log odds."""

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.detectors.embedded import EVIDENCE, evidence
from s2sw.model.embedded_training.net import Seen

RIDGE = 1e-3
"""Keeps slopes finite where a set is told apart without a mistake."""
STEPS = 200
BINS = 10


def evidence_of(seen: Seen) -> Tensor:
    """Return log odds (B, 5) as the detector takes them, before any calibration."""
    families = seen.image.softmax(dim=-1)[..., 1].T
    return evidence(families, seen.map)


def calibrated(odds: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the detector's calibration tensors, fitted to log odds (n, 5) and labels (n,), 0 or 1."""
    lines = torch.stack([fitted(odds[:, i : i + 1], labels) for i in range(len(EVIDENCE))])
    each = odds * lines[:, 0] + lines[:, 1]
    return no_calibration() | {"calibration.families": lines, "calibration.image": fitted(each, labels)}


def no_calibration() -> dict[str, Tensor]:
    """Return tensors with which scores stay as they are, and the image score is their mean in log odds."""
    count = len(EVIDENCE)
    lines = torch.tensor([[1.0, 0.0]]).repeat(count, 1)
    return {
        "calibration.families": lines,
        "calibration.image": torch.tensor([1 / count] * count + [0.0]),
        "calibration.patch": torch.tensor([1.0, 1.0, 0.0]),
        "calibration.few_shot": torch.tensor([1.0, 1.0, 0.0]),
    }


@torch.inference_mode(False)  # callers may be in it: there, nothing can be fitted
@torch.enable_grad()
def fitted(odds: Tensor, labels: Tensor) -> Tensor:
    """Return slopes (K) and an offset (1) of the logistic regression of labels on log odds (n, K)."""
    given = torch.cat([odds.double(), torch.ones(len(odds), 1, dtype=torch.float64)], dim=1)
    line = torch.zeros(given.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([line], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        cost = functional.binary_cross_entropy_with_logits(given @ line, labels.double())
        cost = cost + RIDGE * (line[:-1] ** 2).sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return line.detach().float()


def calibration_error(scores: Tensor, labels: Tensor) -> float:
    """Return the expected calibration error of scores (n,), 0..1, over bins of equal width.

    Source: Naeini et al., "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015.
    """
    total = 0.0
    for count, score, share in reliability(scores, labels):
        total += count * abs(score - share)
    return total / len(scores)


def reliability(scores: Tensor, labels: Tensor) -> list[tuple[int, float, float]]:
    """Return for each bin that holds any: how many scores, their mean, and the share of label 1."""
    which = (scores * BINS).long().clamp(max=BINS - 1)
    rows = [which == number for number in range(BINS)]
    return [
        (int(row.sum()), float(scores[row].mean()), float(labels[row].double().mean()))
        for row in rows
        if row.any()
    ]
