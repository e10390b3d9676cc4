"""Reviewers' decisions as labels: stored scores are judged by what people said, without pictures or model."""

from collections import defaultdict
from typing import Any

import numpy as np

from s2sw.model.metrics import image_metrics
from s2sw.pipeline.evaluation.figures import CandidateFacts, ClassResult, Evaluation, Scored
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.errors import UserError
from s2sw.schemas.tables import RANK

_LABELLED = f"""
WITH newest AS (
    SELECT object_id, slice_index, decision FROM decisions
    QUALIFY row_number() OVER (
        PARTITION BY object_id, slice_index, reviewer ORDER BY decided DESC, fingerprint DESC) = 1
), votes AS (
    SELECT object_id, slice_index,
        count(*) FILTER (decision = '{DecisionKind.ACCEPT.value}') AS accepted,
        count(*) FILTER (decision = '{DecisionKind.REJECT.value}') AS rejected
    FROM newest GROUP BY object_id, slice_index
)
SELECT s.fingerprint, s.bundle, s.object_id, s.slice_index, s.modality, {RANK} AS score,
    accepted > rejected AS anomalous
FROM slices s JOIN votes USING (object_id, slice_index)
WHERE accepted <> rejected
ORDER BY s.fingerprint, s.modality, s.object_id, s.slice_index
"""  # noqa: S608 (the closed list's own words)


class NoDecisionsError(UserError):
    """An output has no decisions to judge by; the message says what to do."""


def evaluate_decisions(results: Results, name: str) -> list[Evaluation]:
    """Return an evaluation for each fingerprint in an output, over the slices that reviewers decided on.

    Of each reviewer the newest decision on a slice counts, whatever fingerprint they looked at: it speaks of
    the picture. Accept is anomalous, reject is normal; the majority counts, and slices without one, with
    ``unsure`` alone or with a tie, are left out. Classes are modalities.
    """
    rows = results.sql(_LABELLED).to_arrow_table().to_pylist()
    if not rows:
        raise NoDecisionsError(
            f"{name}: no slice with a decision of accept or reject; decide with `s2sw review` first"
        )
    by_judge: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_judge[row["fingerprint"], row["bundle"]].append(row)
    return [_evaluation(name, *judge, found) for judge, found in by_judge.items()]


def _evaluation(name: str, fingerprint: str, bundle: str, rows: list[dict[str, Any]]) -> Evaluation:
    scored = [
        Scored(
            place,
            row["modality"] or "all",
            f"{row['object_id']}, slice {row['slice_index'] + 1}",
            bool(row["anomalous"]),
            float(row["score"]),
        )
        for place, row in enumerate(rows)
    ]
    classes = {}
    for group in sorted({one.group for one in scored}):
        own = [one for one in scored if one.group == group]
        scores = np.array([one.score for one in own], np.float32)
        classes[group] = ClassResult(image_metrics(scores, np.array([one.anomalous for one in own])), None)
    judge = CandidateFacts(f"scores {fingerprint[:12]}", "stored scores", bundle, "", trained=True)
    return Evaluation(judge, name, classes, scored)
