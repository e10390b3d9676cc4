"""The bank of a stream against plain loops in float64, and what follows from its definition."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity.bank import LEAST_OTHERS
from s2sw.model.rarity.mutual import COPY, mutual_scores
from s2sw.model.rarity.online import WINDOW, OnlineBank, Past, distances, neighbourhoods

GRID, WIDTHS, MOST = 5, (12, 16), 40
SETS = 3 * len(WIDTHS)
PATCHES = GRID**2
SHARE, KEPT = 0.3, 0.75


def picture(seed: int, strange: bool = False, noise: float = 0.4) -> list[Tensor]:
    """A picture that shares most of what it shows with all others; a strange one has patches of its own."""
    generator = torch.Generator().manual_seed(seed)
    taps = []
    for width in WIDTHS:
        common = torch.randn(PATCHES, width, generator=torch.Generator().manual_seed(9))
        tap = common + noise * torch.randn(PATCHES, width, generator=generator)
        if strange:
            tap[6:9] = 2 * torch.randn(3, width, generator=generator)
        taps.append(functional.normalize(tap, dim=-1))
    return taps


def stream(
    bank: OnlineBank, seeds: list[int], strange: tuple[int, ...] = (), noise: float = 0.4
) -> tuple[OnlineBank, list]:
    """Score the pictures and take each in; return the bank and what was found of each."""
    found = []
    for seed in seeds:
        taps = picture(seed, seed in strange, noise)
        rare = bank.rare(taps, str(seed))
        generator = torch.Generator().manual_seed(1000 + seed)
        score, tokens = torch.rand((), generator=generator), torch.rand(PATCHES, generator=generator)
        ranked = None if rare is None else bank.rank(score, tokens, rare)
        found.append((rare, ranked))
        bank = bank.after(taps, Past(str(seed), "", None if rare is None else (score, tokens, rare)))
    return bank, found


def apart_by(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(max(0.0, 2 - 2 * one @ other)))


class Plain:
    """One tap in one neighbourhood, written from the description."""

    def __init__(self) -> None:
        self.patches: list[np.ndarray] = []
        self.apart: list[dict[int, float]] = []
        self.reach = 0.0

    def rare(self, patches: np.ndarray) -> list[float]:
        own = []
        for apart in self.apart:
            lowest = sorted(apart.values())[: max(1, round(SHARE * len(apart)))]
            own.append(sum(lowest) / len(lowest))
        return [
            min(apart_by(patch, kept) + rarity for kept, rarity in zip(self.patches, own, strict=True))
            for patch in patches
        ]

    def take(self, patches: np.ndarray, number: int) -> None:
        for kept, apart in zip(self.patches, self.apart, strict=True):
            apart[number] = min(apart_by(patch, kept) for patch in patches)
        known, before = list(self.patches), [dict(apart) for apart in self.apart]
        chosen: list[int] = []
        while len(chosen) < len(patches):
            near = [
                min([apart_by(p, k) for k in known + [patches[c] for c in chosen]], default=np.inf)
                for p in patches
            ]
            for row in chosen:
                near[row] = -np.inf
            row = int(np.argmax(near))
            if near[row] <= self.reach:
                break
            chosen.append(row)
        for row in chosen:
            away = [apart_by(patches[row], k) for k in known]
            apart = {}
            if known:
                nearest = int(np.argmin(away))
                apart = {column: away[nearest] + value for column, value in before[nearest].items()}
            apart[number] = 0.0
            self.patches.append(patches[row].astype(np.float16).astype(np.float64))
            self.apart.append(apart)
        self.thin()

    def thin(self) -> None:
        if len(self.patches) <= MOST:
            return
        rows = [0]
        while len(rows) < int(KEPT * MOST):
            near = [min(apart_by(p, self.patches[row]) for row in rows) for p in self.patches]
            rows.append(int(np.argmax(near)))
        left = max(min(apart_by(p, self.patches[row]) for row in rows) for p in self.patches)
        self.reach = max(self.reach, left)
        self.patches, self.apart = [self.patches[r] for r in rows], [self.apart[r] for r in rows]


def test_a_stream_is_scored_as_by_plain_loops() -> None:
    seeds = list(range(14))
    bank, found = stream(OnlineBank(MOST), seeds)
    sets = [Plain() for _ in range(SETS)]
    for seed, (rare, _) in zip(seeds, found, strict=True):
        wide = [one.double().numpy() for one in neighbourhoods(picture(seed))]
        if seed < LEAST_OTHERS:
            assert rare is None
        else:
            expected = np.mean([p.rare(own) for p, own in zip(sets, wide, strict=True)], axis=0)
            np.testing.assert_allclose(rare, expected, atol=2e-4)
        for plain, own in zip(sets, wide, strict=True):
            plain.take(own, seed)
    assert [len(kept.patches) for kept in bank.sets] == [len(plain.patches) for plain in sets]
    assert max(plain.reach for plain in sets) > 0, "no bank was thinned"


def test_the_bank_stays_within_its_bounds() -> None:
    bank = OnlineBank(MOST)
    for start in range(0, WINDOW + 12, 6):
        bank, _ = stream(bank, list(range(start, start + 6)))
        assert max(len(kept.patches) for kept in bank.sets) <= MOST
        assert all(kept.apart.shape == (len(kept.patches), WINDOW) for kept in bank.sets)
    assert len(bank.past) == WINDOW
    owners = {int(one.owner) for one in bank.past}
    assert owners == set(range(bank.taken - WINDOW, bank.taken)), "the oldest pictures have not left"


def test_a_patch_is_never_rarer_by_mutual_scoring() -> None:
    """Beside the pictures of the window; here all of their patches are kept."""
    bank, _ = stream(OnlineBank(10_000), list(range(12)))
    archive = [torch.stack(tap) for tap in zip(*(picture(seed) for seed in range(12)), strict=True)]
    new = picture(77)
    rare, exact = bank.rare(new, "77"), mutual_scores(new, archive, COPY["fp32"])
    assert rare is not None
    assert (rare - exact).min() > -1e-3
    assert (rare - exact).mean() < 0.7 * exact.mean(), "a bound that tells nothing"


def test_another_order_gives_other_numbers() -> None:
    seeds = list(range(20))
    (_, forth), (_, back) = stream(OnlineBank(MOST), seeds), stream(OnlineBank(MOST), seeds[::-1])
    ranks = [{s: f[1].rank for s, f in zip(order, found, strict=True) if f[1] is not None}
             for order, found in ((seeds, forth), (seeds[::-1], back))]  # fmt: skip
    assert set(ranks[0]) == set(seeds[2 * LEAST_OTHERS :])
    assert set(ranks[0]) != set(ranks[1])
    _, again = stream(OnlineBank(MOST), seeds)
    assert [f[1] and f[1].rank for f in again] == [f[1] and f[1].rank for f in forth]


@pytest.mark.parametrize("cut", [3, 11, 19])
def test_a_state_that_was_kept_goes_on_as_if_nothing_had_been(cut: int) -> None:
    whole, expected = stream(OnlineBank(MOST), list(range(24)))
    first, _ = stream(OnlineBank(MOST), list(range(cut)))
    tensors, facts = first.state()
    second, found = stream(OnlineBank.of_state(tensors, facts, "cpu", torch.float32), list(range(cut, 24)))
    for (rare, ranked), (other, rank) in zip(found, expected[cut:], strict=True):
        assert (rare is None) == (other is None)
        assert rare is None or torch.equal(rare, other)
        assert (ranked and (ranked.rank, ranked.rarity)) == (rank and (rank.rank, rank.rarity))
    for kept, other in zip(second.sets, whole.sets, strict=True):
        assert torch.equal(kept.patches, other.patches)
        assert torch.equal(kept.apart, other.apart)


def test_strange_pictures_are_rarer_than_the_others() -> None:
    strange = (20, 24, 27, 33, 38)
    _, found = stream(OnlineBank(3 * MOST), list(range(40)), strange, noise=0.2)
    rarity = {seed: f[1].rarity for seed, f in enumerate(found) if f[1] is not None}
    assert set(strange) < set(rarity)
    others = [value for seed, value in rarity.items() if seed not in strange]
    assert min(rarity[seed] for seed in strange) > max(others)
    patches = found[20][0]
    assert set(patches.topk(3).indices.tolist()) == {6, 7, 8}


def test_what_comes_often_becomes_usual() -> None:
    """The same strange patches again and again."""
    bank, _ = stream(OnlineBank(MOST), list(range(20)))
    odd = picture(500, strange=True)
    before = bank.rare(odd, "x")
    for number in range(20):
        bank = bank.after(odd, Past(f"odd {number}", ""))
    after = bank.rare(odd, "x")
    assert before is not None
    assert after is not None
    assert after[6:9].max() < 0.5 * before[6:9].min()


def test_an_object_and_its_case_do_not_vouch_for_themselves() -> None:
    bank, _ = stream(OnlineBank(MOST), list(range(LEAST_OTHERS)))
    odd = picture(500, strange=True)
    for number in range(12):
        bank = bank.after(odd, Past(f"slice {number}", "patient"))
    free, bound = bank.rare(odd, "x"), bank.rare(odd, "x", "patient")
    assert free is not None
    assert bound is not None
    assert free[6:9].max() < 0.5 * bound[6:9].min()
    assert bank.rare(odd, "0", "patient") is None, "seven others are too few"


def test_products_in_bfloat16_move_distances_little() -> None:
    generator = torch.Generator().manual_seed(1)
    one, other = functional.normalize(torch.randn(2, 30, 64, generator=generator), dim=-1)
    near = functional.normalize(one + 0.02 * other, dim=-1)
    for others in (near, other):
        exact, rounded = distances(one, others), distances(one, others, torch.bfloat16)
        torch.testing.assert_close(
            exact, torch.cdist(one.double(), others.double()).float(), atol=1e-3, rtol=0
        )
        assert (exact - rounded).abs().mean() < 5e-3
