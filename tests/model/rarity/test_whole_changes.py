"""Changes of whole pictures: everywhere, as large as they say, and the same again."""

import numpy as np
import pytest

from s2sw.model.rarity.seeding import WHOLE
from s2sw.model.rarity.whole_changes import CHANGES, LEAST_CHANGE, changed
from s2sw.model.synthetic.fields import SIDE

RAMP = np.add.outer(np.arange(SIDE), np.arange(SIDE))
GREY = np.repeat((60 + 4 * (RAMP % 24))[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_everywhere_and_says_how_much(kind: str) -> None:
    seeds = [changed(np.random.default_rng(n), GREY, kind) for n in range(4)]
    for seed in seeds:
        assert seed is not None
        difference = np.abs(seed.picture.astype(int) - GREY)
        assert seed.size == WHOLE
        assert seed.contrast == pytest.approx(difference.mean() / 255)
        assert seed.contrast >= LEAST_CHANGE
        for quarter in (difference[:120, :120], difference[:120, 120:], difference[120:, :120]):
            assert (quarter > 0).mean() > 0.1
        assert np.array_equal(seed.picture[..., 0], seed.picture[..., 2])  # grey stays grey
    again = changed(np.random.default_rng(0), GREY, kind)
    assert seeds[0] is not None
    assert again is not None
    assert np.array_equal(again.picture, seeds[0].picture)
    assert len({seed.contrast for seed in seeds if seed}) == 4


def test_changes_do_what_they_are_called() -> None:
    def of(kind: str, number: int) -> np.ndarray:
        seed = changed(np.random.default_rng(number), GREY, kind)
        assert seed is not None
        return seed.picture.astype(float)

    steps = float(np.abs(np.diff(GREY[..., 0].astype(float), axis=1)).mean())
    assert {float(np.sign(of("brightness", n).mean() - GREY.mean())) for n in range(8)} == {-1.0, 1.0}
    assert {bool(of("contrast", n).std() > GREY.std()) for n in range(8)} == {False, True}
    assert np.abs(np.diff(of("blur", 1)[..., 0], axis=1)).mean() < steps
    assert np.abs(np.diff(of("noise", 1)[..., 0], axis=1)).mean() > steps
    halves = (of("gradient", 1) - GREY).mean(axis=2)
    sides = halves[:, :80].mean() - halves[:, -80:].mean(), halves[:80].mean() - halves[-80:].mean()
    assert max(map(abs, sides)) > 3


@pytest.mark.parametrize("kind", ["blur", "contrast"])
def test_what_would_not_show_is_none(kind: str) -> None:
    assert changed(np.random.default_rng(0), np.full((60, 60, 3), 128, np.uint8), kind) is None


def test_noise_of_a_coloured_picture_has_colours() -> None:
    coloured = GREY.copy()
    coloured[..., 0] += 40
    seed = changed(np.random.default_rng(0), coloured, "noise")
    assert seed is not None
    difference = seed.picture.astype(int) - coloured
    assert not np.array_equal(difference[..., 0], difference[..., 1])
