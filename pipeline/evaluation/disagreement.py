"""Where detectors disagree: pictures that they rank most differently among all of a data set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2sw.pipeline.evaluation.figures import Evaluation, Scored


@dataclass(frozen=True)
class Disputed:
    """A picture and its rank with each judge, 0 (least anomalous) to 1 (most); equal scores share a rank."""

    scored: Scored
    ranks: list[float]
    scores: list[float]

    @property
    def spread(self) -> float:
        """Distance of the highest rank from the lowest."""
        return max(self.ranks) - min(self.ranks)


def disputed(evaluations: list[Evaluation], most: int) -> list[Disputed]:
    """Return the pictures of the largest spread of ranks, of judges that scored the same pictures."""
    if len(evaluations) < 2 or len({len(evaluation.scored) for evaluation in evaluations}) > 1:
        return []
    scores = np.array([[one.score for one in evaluation.scored] for evaluation in evaluations])
    ranks = np.array([_ranks(row) for row in scores])
    order = np.argsort(ranks.min(axis=0) - ranks.max(axis=0), kind="stable")[:most]
    return [
        Disputed(evaluations[0].scored[i], ranks[:, i].tolist(), scores[:, i].tolist())
        for i in order.tolist()
    ]


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the shares below and not above each score, 0..1."""
    ordered = np.sort(scores)
    below, upto = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (below + upto - 1) / 2 / max(len(scores) - 1, 1)
