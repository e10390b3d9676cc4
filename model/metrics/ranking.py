"""AUROC, AP, F1-max and AUPRO of ranked items, in one pass over their scores from high to low.

Sources: average precision as the step-wise sum of precision over recall; AUPRO as in the MVTec AD paper
(Bergmann et al., IJCV 2021, section 4.1): the mean share of each anomalous region that is found, integrated
over the false positive rate up to 0.3 and divided by 0.3.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FPR_LIMIT = 0.3
CURVE_STEPS = 256

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Distinct scores from high to low, float32 (D,), and the items that have each.

    normal, anomalous: numbers of items, int64 (D,). overlap: sum over the anomalous pixels of one over the
    area of their region, float64 (D,); zeros for images.
    """

    score: NDArray[np.float32]
    normal: Counts
    anomalous: Counts
    overlap: Numbers


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of the ROC and the precision-recall curve from the highest threshold on, all in 0..1.

    Thinned to at most 2 * CURVE_STEPS points; recall is the true positive rate.
    """

    fpr: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The metrics, 0..1; None where they are not defined (no normal items, no anomalous ones, no regions).

    f1_threshold: the score from which on items count as anomalous at the largest F1.
    """

    auroc: float | None
    ap: float | None
    f1max: float | None
    f1_threshold: float | None
    aupro: float | None
    normal: int
    anomalous: int
    curve: Curve


class Ranker:
    """Takes tallies from high scores to low ones; their totals must be known before."""

    def __init__(self, normal: int, anomalous: int, regions: int = 0) -> None:
        self._normal, self._anomalous, self._regions = normal, anomalous, regions
        self._false = self._true = 0
        self._covered = 0.0
        self._pairs = 0  # twice the number of correctly ordered pairs, ties counted as half
        self._precision = self._aupro = 0.0
        self._best = (0.0, 0.0)
        self._curve = Curve()
        self._corner = -1

    def add(self, tally: Tally) -> None:
        """Count the next scores, all of them below those of earlier tallies."""
        if not (len(tally.score) and self._normal and self._anomalous):
            return
        true = self._true + np.cumsum(tally.anomalous)
        false = self._false + np.cumsum(tally.normal)
        precision = true / (true + false)
        self._pairs += int((tally.normal * (2 * true - tally.anomalous)).sum())
        self._precision += float((tally.anomalous * precision).sum())
        f1 = 2 * true / (self._anomalous + true + false)
        best = int(f1.argmax())
        self._best = max(self._best, (float(f1[best]), float(tally.score[best])))
        if self._regions:
            self._add_overlap(false, tally.overlap)
        self._add_points(true, false, precision)
        self._true, self._false = int(true[-1]), int(false[-1])

    def _add_overlap(self, false: Counts, overlap: Numbers) -> None:
        """Add the area under the overlap between the false positive rates 0 and FPR_LIMIT."""
        x = np.concatenate([[self._false], false]) / self._normal
        covered = self._covered + np.concatenate([[0.0], np.cumsum(overlap)])
        y = covered / self._regions
        self._covered = float(covered[-1])
        width, end = np.diff(x), np.minimum(x[1:], FPR_LIMIT)
        inside = np.maximum(end - x[:-1], 0)
        share = np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
        self._aupro += float((inside * (y[:-1] + share * np.diff(y) / 2)).sum()) / FPR_LIMIT

    def _add_points(self, true: Counts, false: Counts, precision: Numbers) -> None:
        """Keep the points at which the ROC curve enters another cell of a fine grid."""
        fpr, recall = false / self._normal, true / self._anomalous
        corner = (fpr * CURVE_STEPS).astype(np.int64) + (recall * CURVE_STEPS).astype(np.int64)
        kept = np.flatnonzero(np.diff(corner, prepend=self._corner))
        self._corner = int(corner[-1])
        self._curve.fpr.extend(fpr[kept].tolist())
        self._curve.recall.extend(recall[kept].tolist())
        self._curve.precision.extend(precision[kept].tolist())

    def result(self) -> Ranking:
        """Return the metrics of all that was added."""
        if not (self._normal and self._anomalous):
            return Ranking(None, None, None, None, None, self._normal, self._anomalous, self._curve)
        return Ranking(
            auroc=self._pairs / (2 * self._normal * self._anomalous),
            ap=self._precision / self._anomalous,
            f1max=self._best[0],
            f1_threshold=self._best[1],
            aupro=self._aupro if self._regions else None,
            normal=self._normal,
            anomalous=self._anomalous,
            curve=self._curve,
        )
