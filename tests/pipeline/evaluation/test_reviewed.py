"""Reviewers' decisions as labels of stored scores."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.evaluation.reviewed import NoDecisionsError, evaluate_decisions
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.decisions import DecisionKind
from tests.support.finished_runs import FIRST, write_parts
from tests.support.rows import screened

START = datetime(2026, 7, 1, tzinfo=UTC)
ACCEPT, REJECT, UNSURE, WITHDRAWN = (
    DecisionKind.ACCEPT, DecisionKind.REJECT, DecisionKind.UNSURE, DecisionKind.WITHDRAWN,
)  # fmt: skip


@pytest.fixture
def output(tmp_path: Path) -> LocalOutput:
    made = LocalOutput(tmp_path)
    write_parts(made, [screened(number, number / 10) for number in range(1, 7)], FIRST)
    return made


def decide(output: LocalOutput, *said: tuple[float, str, DecisionKind]) -> None:
    """said: score of a slice, reviewer, decision; each later than the one before."""
    rows = Results(output).sql("SELECT object_id, fingerprint, image_score FROM slices").fetchall()
    by_score = {round(score, 3): (key, fingerprint) for key, fingerprint, score in rows}
    for minute, (score, reviewer, kind) in enumerate(said):
        key, fingerprint = by_score[score]
        decided = START + timedelta(minutes=minute)
        append(output, [Decision(key, 0, fingerprint, kind, reviewer, decided, 0.5)])


def test_newest_decision_and_majority_count(output: LocalOutput) -> None:
    decide(
        output,
        (0.1, "ada", REJECT),
        (0.2, "ada", ACCEPT),
        (0.2, "ada", REJECT),  # she changed her mind
        (0.3, "ada", ACCEPT),
        (0.3, "bo", REJECT),
        (0.3, "cy", ACCEPT),
        (0.4, "ada", UNSURE),
        (0.5, "ada", ACCEPT),
        (0.5, "bo", REJECT),  # a tie
        (0.6, "ada", ACCEPT),
        (0.6, "ada", WITHDRAWN),
    )
    (found,) = evaluate_decisions(Results(output), "results")
    labels = {round(one.score, 3): one.anomalous for one in found.scored}
    assert labels == {0.1: False, 0.2: False, 0.3: True}
    assert list(found.classes) == ["CT"]
    figures = found.mean()
    assert (figures["image_auroc"], figures["image_ap"], figures["pixel_auroc"]) == (1.0, 1.0, None)


def test_without_decisions(output: LocalOutput) -> None:
    with pytest.raises(NoDecisionsError, match="no slice with a decision of accept or reject"):
        evaluate_decisions(Results(output), "results")
