"""Pixel metrics against scikit-learn and the plain AUPRO, in memory and through the file."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from s2sw.model.metrics import PixelMetrics, pixels
from s2sw.model.metrics.pixels import scores_of, sort_keys
from s2sw.model.metrics.ranking import CURVE_STEPS, Ranking
from tests.support.plain_metrics import Maps, Masks, plain_aupro

SHAPE = (9, 11)
LEVELS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1, width=32)


def computed(maps: Maps, masks: Masks, in_memory: int = pixels.IN_MEMORY) -> Ranking:
    metrics = PixelMetrics(in_memory)
    for scores, mask in zip(maps, masks, strict=True):
        metrics.add(scores, mask)
    return metrics.compute()


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Maps, Masks]:
    count = draw(st.integers(1, 4))
    maps = [draw(arrays.arrays(np.float32, SHAPE, elements=LEVELS)) for _ in range(count)]
    masks = [draw(arrays.arrays(np.bool_, SHAPE, fill=st.just(False))) for _ in range(count)]
    masks[0][2:4, 3:6] = True
    masks[0][0, 0] = False
    return maps, masks


@given(pictures())
@settings(max_examples=60)
def test_agrees_with_scikit_learn_and_the_plain_aupro(given_pictures: tuple[Maps, Masks]) -> None:
    maps, masks = given_pictures
    found = computed(maps, masks)
    scores = np.concatenate([m.ravel() for m in maps])
    labels = np.concatenate([m.ravel() for m in masks])
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    every = np.unique(scores)[::-1]
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.ap == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert found.f1max == pytest.approx(f1.max(), abs=1e-12)
    assert found.aupro == pytest.approx(plain_aupro(maps, masks, every), abs=1e-9)
    at_best = scores >= found.f1_threshold
    true = int((at_best & labels).sum())
    assert 2 * true / (at_best.sum() + labels.sum()) == pytest.approx(found.f1max, abs=1e-12)


@given(pictures(), st.integers(1, 120))
@settings(max_examples=40)
def test_the_file_changes_nothing(given_pictures: tuple[Maps, Masks], in_memory: int) -> None:
    maps, masks = given_pictures
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "STRIDE", 3)
        patch.setattr(pixels, "PIECES", 2)
        spilled = computed(maps, masks, in_memory)
    whole = computed(maps, masks)
    for name in ("auroc", "ap", "f1max", "f1_threshold", "aupro"):
        assert getattr(spilled, name) == pytest.approx(getattr(whole, name), abs=1e-12), name


def test_blocks_stay_small_whatever_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of all pixels have one score, and the rest lie close together: no range holds much."""
    monkeypatch.setattr(pixels, "STRIDE", 64)
    monkeypatch.setattr(pixels, "PIECES", 4)
    rng = np.random.default_rng(1)
    metrics = PixelMetrics(in_memory=4096)
    for _ in range(20):
        scores = np.where(rng.random((64, 64)) < 0.5, 0.5, 0.5 + rng.random((64, 64)) / 1000)
        metrics.add(scores.astype(np.float32), rng.random((64, 64)) < 0.02)
    sizes: list[int] = []
    tally = PixelMetrics._tally

    def watched(self: PixelMetrics, low: int, high: int):  # type: ignore[no-untyped-def]
        found = tally(self, low, high)
        sizes.append(int((found.normal + found.anomalous).sum()) if len(found.score) > 1 else 0)
        return found

    monkeypatch.setattr(PixelMetrics, "_tally", watched)
    assert metrics.compute().auroc == pytest.approx(0.5, abs=0.02)
    runs = 20 + 2
    assert max(sizes) <= 64 * (4 + 2 * runs)
    assert len(sizes) > 20


def test_what_is_not_defined_is_none() -> None:
    nothing = np.zeros((4, 4), dtype=bool)
    for mask in (nothing, ~nothing):
        found = computed([np.eye(4, dtype=np.float32)], [mask])
        assert (found.auroc, found.ap, found.f1max, found.aupro) == (None,) * 4
    assert PixelMetrics().compute().normal == 0


def test_a_perfect_map_and_its_curve() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[10:20, 10:20] = True
    ramp = np.linspace(0, 0.4, mask.size, dtype=np.float32).reshape(mask.shape)
    found = computed([np.where(mask, 1 - ramp, ramp)], [mask])
    assert (found.auroc, found.ap, found.f1max) == (1.0, 1.0, 1.0)
    assert found.aupro == pytest.approx(1.0)
    assert len(found.curve.fpr) <= 2 * CURVE_STEPS
    assert found.curve.recall == sorted(found.curve.recall)
    assert (found.curve.recall[-1], found.curve.fpr[-1]) == (1.0, pytest.approx(1.0, abs=0.01))


def test_a_small_region_weighs_as_much_as_a_large_one() -> None:
    """The large region is found and the small one missed: AUPRO is one half, though few pixels are missed."""
    mask = np.zeros((40, 40), dtype=bool)
    mask[0:20, 0:20] = mask[30:32, 30:32] = True
    scores = np.where(mask, 1, 0.5).astype(np.float32)
    scores[30:32, 30:32] = 0
    assert computed([scores], [mask]).aupro == pytest.approx(0.5 * (1 - 0.15) + 0.5 * 0.15)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((3, 4), np.float32), r"the map is \(3, 4\) and the mask \(3, 3\)"),
        (np.full((3, 3), np.nan, np.float32), "9 pixels that are not finite"),
    ],
)
def test_wrong_maps(scores: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelMetrics().add(scores, np.zeros((3, 3), dtype=bool))


@given(arrays.arrays(np.float32, 50, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_keys_keep_the_order(scores: np.ndarray) -> None:
    keys = sort_keys(scores)
    np.testing.assert_array_equal(scores_of(keys), scores)
    order = np.argsort(keys, kind="stable")
    assert (np.diff(scores[order].astype(np.float64)) >= 0).all()
    assert math.copysign(1, float(scores_of(sort_keys(np.float32([-0.0])))[0])) == 1
