"""Rarity against a plain loop over pictures and patches, and what may vouch for whom."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity.bank import LEAST_OTHERS, LOWEST, SIMILAR, Bank, highest_mean, make_bank, nearest
from s2sw.model.rarity.features import Features, compared_taps, features_of, from_int8, to_int8

GRID, WIDTHS, COUNT = 5, (24, 16), 40


def test_products_in_bfloat16_move_distances_little() -> None:
    """Patches that nearly are their neighbours: there bfloat16 alone is off by 0.004."""
    generator = torch.Generator().manual_seed(4)
    usual = torch.randn(1, 128, generator=generator)
    one, *others = (
        functional.normalize(usual + 0.4 * torch.randn(49, 128, generator=generator), dim=-1)
        for _ in range(9)
    )
    exact = nearest(one, torch.stack(others))
    rounded = nearest(one.bfloat16(), torch.stack(others).bfloat16())
    expected = 1 - torch.stack([(one.double() @ other.double().T).amax(dim=1) for other in others], dim=1)
    torch.testing.assert_close(exact.double(), expected, atol=1e-6, rtol=0)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 2e-3
    assert (rounded - exact).abs().mean() < 4e-4
    # a patch that another picture has: rounding puts some below nought, and none of them far away
    itself = nearest(one.bfloat16(), torch.stack([one, *others[:2]]).bfloat16())[:, 0]
    assert itself.abs().max() < 4e-3


def taps(count: int, seed: int = 0) -> list[Tensor]:
    """Pictures that share most of what they show, so that some are more alike than others."""
    torch.manual_seed(seed)
    common = [torch.randn(1, GRID**2, width) for width in WIDTHS]
    return [one + 0.5 * torch.randn(count, *one.shape[1:]) for one in common]


@pytest.fixture(scope="module")
def pictures() -> list[Features]:
    return features_of(taps(COUNT))


@pytest.fixture(scope="module")
def bank(pictures: list[Features]) -> Bank:
    return make_bank(pictures)


def plain_features(tap: np.ndarray) -> np.ndarray:
    """One picture's patches (N, D): normalised, summed over their 3 x 3 neighbours, normalised again."""
    unit = tap / np.linalg.norm(tap, axis=1, keepdims=True)
    out = np.zeros_like(unit)
    for place in range(len(tap)):
        row, column = divmod(place, GRID)
        for other in range(len(tap)):
            at = divmod(other, GRID)
            if abs(at[0] - row) <= 1 and abs(at[1] - column) <= 1:
                out[place] += unit[other]
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def plain_rarity(bank: Bank, picture: Features, allowed: list[int]) -> np.ndarray:
    """Return (taps, N) by loops over taps, patches, pictures and their patches."""
    cosines = [float(bank.descriptions[row] @ picture.description) for row in allowed]
    similar = [allowed[i] for i in np.argsort([-c for c in cosines], kind="stable")[:SIMILAR]]
    found = []
    for tap, basis in enumerate(bank.bases):
        own = (picture.patches[tap] @ basis).numpy()
        line = []
        for patch in own:
            distances = []
            for row in similar:
                kept = bank.patches[tap][row].numpy().astype(np.float64)
                cosine = [k @ patch / np.linalg.norm(k) / np.linalg.norm(patch) for k in kept]
                distances.append(1 - max(cosine))
            line.append(np.mean(sorted(distances)[: round(LOWEST * len(distances))]))
        found.append(line)
    return np.array(found)


def test_features_are_those_of_a_plain_loop(pictures: list[Features]) -> None:
    for number, tap in enumerate(taps(COUNT)):
        expected = plain_features(tap[3].numpy())
        np.testing.assert_allclose(pictures[3].patches[number], expected, atol=1e-6)
    mean = plain_features(taps(COUNT)[0][3].numpy()).mean(axis=0)
    np.testing.assert_allclose(pictures[3].description, mean / np.linalg.norm(mean), atol=1e-6)


def test_rarity_is_that_of_a_plain_loop(bank: Bank, pictures: list[Features]) -> None:
    allowed = [row for row in range(COUNT) if row % 7]
    mask = torch.zeros(COUNT, dtype=torch.bool)
    mask[allowed] = True
    for number in (0, 9):
        found = bank.compare(pictures[number].description, bank.of_picture(pictures[number]), mask)
        assert found is not None
        np.testing.assert_allclose(found, plain_rarity(bank, pictures[number], allowed), atol=1e-5)


def test_a_patch_that_no_other_picture_has_is_the_rarest(bank: Bank, pictures: list[Features]) -> None:
    picture, place = pictures[0], 12
    strange = [patches.clone() for patches in picture.patches]
    for patches in strange:
        patches[place] = -patches[place]
    others = torch.arange(COUNT) > 0
    found = bank.compare(
        picture.description, bank.of_picture(Features(picture.description, tuple(strange))), others
    )
    before = bank.compare(picture.description, bank.of_picture(picture), others)
    assert found is not None
    assert before is not None
    assert found.argmax(dim=1).tolist() == [place, place]
    rest = torch.arange(GRID**2) != place
    torch.testing.assert_close(found[:, rest], before[:, rest])


def test_too_few_others_say_nothing(bank: Bank, pictures: list[Features]) -> None:
    one = pictures[0]
    for count, says in ((LEAST_OTHERS - 1, False), (LEAST_OTHERS, True)):
        found = bank.compare(one.description, bank.of_picture(one), torch.arange(COUNT) < count)
        assert (found is not None) is says


def test_int8_keeps_directions() -> None:
    unit = torch.nn.functional.normalize(torch.randn(500, 128), dim=-1)
    assert float((from_int8(to_int8(unit)) * unit).sum(dim=-1).min()) > 0.9998
    assert torch.equal(to_int8(from_int8(to_int8(unit))), to_int8(unit))
    assert torch.isfinite(from_int8(to_int8(torch.zeros(2, 4)))).all()


def test_the_taps_in_the_middle_are_compared() -> None:
    for count, expected in ((1, ["0"]), (2, ["0", "1"]), (3, ["1", "2"]), (4, ["1", "2"])):
        listed = [torch.full((1,), number) for number in range(count)]
        assert [str(int(tap)) for tap in compared_taps(listed)] == expected


def test_the_highest_hundredth_counts() -> None:
    assert float(highest_mean(torch.arange(400.0))) == pytest.approx((399 + 398 + 397 + 396) / 4)
    assert float(highest_mean(torch.arange(10.0))) == 9
