"""Metrics over images: one score and one label each."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.model.metrics.ranking import Ranker, Ranking, Tally


def image_metrics(scores: NDArray[np.floating[Any]], labels: NDArray[Any]) -> Ranking:
    """Return AUROC, AP and F1-max of image scores, float (N,); labels: (N,), true or 1 for anomalous.

    Raises ValueError for arrays of different lengths and for scores that are not finite.
    """
    if scores.shape != labels.shape or scores.ndim != 1:
        raise ValueError(f"scores are {scores.shape} and labels {labels.shape}; (N,) each is needed")
    if not np.isfinite(scores).all():
        raise ValueError(f"scores: {int((~np.isfinite(scores)).sum())} of {len(scores)} are not finite")
    anomalous = labels.astype(bool)
    distinct, place = np.unique(-scores.astype(np.float32), return_inverse=True)
    totals = [np.bincount(place[chosen], minlength=len(distinct)) for chosen in (~anomalous, anomalous)]
    ranker = Ranker(int((~anomalous).sum()), int(anomalous.sum()))
    ranker.add(Tally(-distinct, totals[0], totals[1], np.zeros(len(distinct))))
    return ranker.result()
