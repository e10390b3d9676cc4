"""Zero-shot evidence and rarity in one score and one map, both in units of what is usual in the bank.

The way to beat, and what it rests on: docs/profile.md.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from s2sw.model.rarity.bank import highest_mean

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their odds are taken."""
LEAST = 1e-6
"""Added to deviations: a bank of equal pictures stays usable."""
RANK_HALF = 0.95
"""A rank score is one half where this share of the bank's pictures lies below."""
MAP_HALF = 0.995
"""A map value is one half where this share of the bank's patches lies below."""


@dataclass(frozen=True, slots=True)
class Line:
    """A number in other units: (value - offset) / scale."""

    offset: float
    scale: float

    def __call__(self, values: Tensor) -> Tensor:
        """Return the values in these units."""
        return (values - self.offset) / self.scale


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual in a bank, by which evidence is put into one unit.

    taps: distances of patches, for each tap. patches: the mean of these over taps. token: log odds of a
    zero-shot patch. picture: a picture's rarity. score: log odds of its zero-shot score.
    """

    taps: tuple[Line, ...]
    patches: Line
    token: Line
    picture: Line
    score: Line


@dataclass(frozen=True, slots=True)
class Combination:
    """How a group's evidence becomes one. weight: of rarity, 0..1; rank, map: what lies at one half."""

    usual: Usual
    weight: float
    rank: Line
    map: Line


class Evidence(NamedTuple):
    """What is known of one picture in the bank's units.

    score, rarity: of the picture, (). tokens, patches: zero-shot and rarity of each patch, (N,).
    """

    score: Tensor
    rarity: Tensor
    tokens: Tensor
    patches: Tensor


class Combined(NamedTuple):
    """rank: 0..1. rarity: in deviations of the bank's pictures. tokens: (N,), 0..1."""

    rank: float
    rarity: float
    tokens: Tensor


def log_odds(probability: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of probabilities, finite, float32."""
    return torch.logit(probability.float(), SMALLEST)


def line_of(values: Tensor) -> Line:
    """Return the line to deviations from the mean of the values."""
    values = values.double()
    return Line(float(values.mean()), float(values.std(correction=0)) + LEAST)


def usual_of(scores: Tensor, tokens: Tensor, rare: Tensor) -> Usual:
    """Return what is usual in a bank.

    scores: (n,), 0..1; tokens: (n, N), 0..1; rare: (n, taps, N), of each picture beside the others.
    """
    taps = tuple(line_of(rare[:, tap]) for tap in range(rare.shape[1]))
    mean = _mean_of_taps(taps, rare)
    patches = line_of(mean)
    picture = line_of(highest_mean(patches(mean)))
    return Usual(taps, patches, line_of(log_odds(tokens)), picture, line_of(log_odds(scores)))


def evidence_of(usual: Usual, score: Tensor, tokens: Tensor, rare: Tensor) -> Evidence:
    """Return the evidence on pictures (...): scores (...), tokens (..., N) in 0..1, rare (..., taps, N)."""
    patches = usual.patches(_mean_of_taps(usual.taps, rare))
    return Evidence(
        usual.score(log_odds(score)),
        usual.picture(highest_mean(patches)),
        usual.token(log_odds(tokens)),
        patches,
    )


def _mean_of_taps(lines: tuple[Line, ...], rare: Tensor) -> Tensor:
    return torch.stack([line(rare[..., tap, :]) for tap, line in enumerate(lines)]).mean(dim=0)


def picture_sum(found: Evidence, weight: float) -> Tensor:
    """Return the weighted sum for pictures."""
    return (1 - weight) * found.score + weight * found.rarity


def patch_sum(found: Evidence, weight: float) -> Tensor:
    """Return the weighted sum for patches."""
    return (1 - weight) * found.tokens + weight * found.patches


def combination_of(usual: Usual, bank: Evidence, weight: float, together: int = 1) -> Combination:
    """Return the combination by which the bank's pictures (n) are what is usual.

    together: pictures (tiles of a slice) of which the highest counts; one half is then where that of so many
    independent ones lies.
    """
    pictures, patches = picture_sum(bank, weight), patch_sum(bank, weight)
    share = highest_of(RANK_HALF, together)
    return Combination(usual, weight, _half_at(pictures, share), _half_at(patches, MAP_HALF))


def highest_of(share: float, together: int) -> float:
    """Return the share of single pictures below a bound below which the highest of so many is so often."""
    return float(share ** (1 / max(1, together)))


def combine(combination: Combination, score: Tensor, tokens: Tensor, rare: Tensor) -> Combined:
    """Return what is said of one picture: score (), tokens (N,), rare (taps, N)."""
    found = evidence_of(combination.usual, score, tokens, rare)
    rank = squashed(combination.rank(picture_sum(found, combination.weight)))
    return Combined(
        float(rank), float(found.rarity), squashed(combination.map(patch_sum(found, combination.weight)))
    )


def squashed(values: Tensor) -> Tensor:
    """Return values in 0..1 in their order, 0 at one half; unlike a sigmoid's, large ones stay apart."""
    return 0.5 + 0.5 * values / (1 + values.abs())


def _half_at(values: Tensor, share: float) -> Line:
    ordered = values.flatten().double().sort().values
    # torch.quantile takes no more than 16 million values
    return Line(float(ordered[round(share * (len(ordered) - 1))]), line_of(values).scale)
