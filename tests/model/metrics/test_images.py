"""Image metrics against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from s2sw.model.metrics import image_metrics


@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.5, 0.9]) | st.floats(0, 1, width=32), st.booleans()),
        min_size=2,
        max_size=60,
    ).filter(lambda rows: len({label for _, label in rows}) == 2)
)
def test_agrees_with_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows], np.float32)
    labels = np.array([label for _, label in rows])
    found = image_metrics(scores, labels)
    assert found.auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.ap == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    called = [scores >= threshold for threshold in scores]
    best = max(2 * (labels & some).sum() / (some.sum() + labels.sum()) for some in called)
    assert found.f1max == pytest.approx(best, abs=1e-12)
    assert found.aupro is None


def test_one_label_alone_gives_none() -> None:
    found = image_metrics(np.array([0.2, 0.4]), np.array([0, 0]))
    assert (found.auroc, found.ap, found.f1max, found.normal) == (None, None, None, 2)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [([0.1], [0, 1], "scores are .* and labels"), ([np.nan, 1.0], [0, 1], "1 of 2 are not finite")],
)
def test_wrong_scores(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        image_metrics(np.array(scores), np.array(labels))
