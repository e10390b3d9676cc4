"""Mutual scoring against plain loops in float64, written from the paper's definition."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity import mutual
from s2sw.model.rarity.mutual import COPY, FARTHEST, mutual_scores

GRID, WIDTHS, COUNT = 6, (12, 20), 11
NEIGHBOURHOODS = (1, 3, 5)
SHARE = 0.3


def taps(count: int, seed: int = 0) -> list[Tensor]:
    """Pictures that share most of what they show."""
    generator = torch.Generator().manual_seed(seed)
    common = [torch.randn(1, GRID**2, width, generator=torch.Generator().manual_seed(9)) for width in WIDTHS]
    return [one + 0.7 * torch.randn(count, *one.shape[1:], generator=generator) for one in common]


@pytest.fixture(scope="module")
def archive() -> list[Tensor]:
    return [functional.normalize(tap, dim=-1) for tap in taps(COUNT)]


def averaged(patches: np.ndarray, side: int) -> np.ndarray:
    unit = patches / np.linalg.norm(patches, axis=1, keepdims=True)
    out = np.zeros_like(unit)
    for place in range(GRID**2):
        row, column = divmod(place, GRID)
        for down in range(row - side // 2, row + side // 2 + 1):
            for across in range(column - side // 2, column + side // 2 + 1):
                if 0 <= down < GRID and 0 <= across < GRID:
                    out[place] += unit[down * GRID + across]
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def plain(picture: list[Tensor], archive: list[Tensor], others: list[int]) -> np.ndarray:
    """Loops over taps, neighbourhoods, patches, the other pictures and their patches."""
    total = np.zeros(GRID**2)
    for tap, known in zip(picture, archive, strict=True):
        for side in NEIGHBOURHOODS:
            own = averaged(tap.double().numpy(), side)
            theirs = [averaged(known[other].double().numpy(), side) for other in others]
            for place in range(GRID**2):
                apart = sorted(min(np.linalg.norm(own[place] - p) for p in one) for one in theirs)
                count = max(1, round(SHARE * len(apart)))
                total[place] += sum(apart[:count]) / count
    return total / (len(archive) * len(NEIGHBOURHOODS))


@pytest.mark.parametrize("at_once", [1, 1 << 25])
def test_another_picture_is_compared_with_all(
    archive: list[Tensor], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(mutual, "PAIRS_AT_ONCE", at_once)
    picture = [tap[0] for tap in taps(1, seed=5)]
    found = mutual_scores(picture, archive, COPY["fp32"])
    np.testing.assert_allclose(found, plain(picture, archive, list(range(COUNT))), atol=1e-5)


def test_a_picture_of_the_archive_is_compared_with_the_others(archive: list[Tensor]) -> None:
    picture = [tap[4] for tap in taps(COUNT)]
    others = [row for row in range(COUNT) if row != 4]
    found = mutual_scores(picture, archive, COPY["fp32"])
    np.testing.assert_allclose(found, plain(picture, archive, others), atol=1e-5)
    # kept in half the bytes, it is still known to be itself
    halves = mutual_scores(picture, [tap.half() for tap in archive], COPY["fp32"])
    np.testing.assert_allclose(halves, found, atol=2e-3)


def test_a_copy_does_not_vouch_for_a_picture(archive: list[Tensor]) -> None:
    picture = [tap[0] for tap in taps(1, seed=6)]
    twice = [
        torch.cat([k, functional.normalize(p, dim=-1)[None]]) for k, p in zip(archive, picture, strict=True)
    ]
    alone, copied = (mutual_scores(picture, known, COPY["fp32"]) for known in (archive, twice))
    assert torch.equal(alone, copied)


def test_where_all_are_alike_nothing_is_rare() -> None:
    same = [functional.normalize(tap, dim=-1).expand(9, -1, -1) for tap in taps(1)]
    assert mutual_scores([tap[0] for tap in same], same, COPY["fp32"]).max() < 1e-3


def test_a_patch_that_no_other_has_is_the_rarest(archive: list[Tensor]) -> None:
    picture = [tap[4].clone() for tap in taps(COUNT)]
    for tap in picture:
        tap[14] = -tap[14]
    found = mutual_scores(picture, archive, COPY["fp32"])
    assert int(found.argmax()) == 14
    assert float(found.min()) >= 0
    assert float(found.max()) <= FARTHEST
