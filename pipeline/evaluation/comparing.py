"""Several detectors on one data set, one after another, and the page about them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from s2sw.connectors.datasets import DataSet
from s2sw.model import load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.precision import Precision
from s2sw.pipeline.evaluation.disagreement import disputed
from s2sw.pipeline.evaluation.figures import CandidateFacts, Evaluation, Kept
from s2sw.pipeline.evaluation.measuring import Measuring, measure
from s2sw.pipeline.evaluation.page import Dispute, Gallery, Shown, evaluation_page
from s2sw.pipeline.evaluation.pictures import drawn, plain

DISPUTES = 8


@dataclass(frozen=True)
class Candidate:
    """A bundle to evaluate, and what the tables call it."""

    label: str
    folder: Path


@dataclass
class Comparison:
    """What came out of one data set: an evaluation and a gallery for each contender."""

    data: DataSet
    evaluations: list[Evaluation] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)

    def page(self, how: Measuring) -> str:
        """Return the HTML page; pictures that are disputed are read again."""
        found = disputed(self.evaluations, DISPUTES)
        disputes = [Dispute(one, plain(self.data, one.scored.place, how)) for one in found]
        return evaluation_page(self.evaluations, self.galleries, disputes)


def labelled(names: Iterable[str], folders: Iterable[Path]) -> list[Candidate]:
    """Name bundles as they were asked for, by the last part of the path where that tells them apart."""
    pairs = list(zip(names, folders, strict=True))
    short = [Path(name).name or name for name, _ in pairs]
    full = [name if short.count(last) > 1 else last for (name, _), last in zip(pairs, short, strict=True)]
    return [Candidate(label, folder) for label, (_, folder) in zip(full, pairs, strict=True)]


def compare(
    contenders: list[Candidate],
    data: DataSet,
    how: Measuring,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    pictures: bool = True,
) -> Comparison:
    """Evaluate each contender on a data set; only one detector is in memory at a time.

    pictures: draw the worst pictures while the detector is there. Raises BundleError and DataSetError.
    """
    comparison = Comparison(data)
    for contender in contenders:
        evaluation, gallery = _evaluated(contender, data, how, device, precision, pictures)
        comparison.evaluations.append(evaluation)
        comparison.galleries.append(gallery)
    return comparison


def _evaluated(
    contender: Candidate, data: DataSet, how: Measuring, device: str, precision: Precision, pictures: bool
) -> tuple[Evaluation, Gallery]:
    """Evaluate one contender; its detector is let go at the end, before another is loaded."""
    detector = load_detector(contender.folder, device, precision)
    evaluation = measure(detector, judge_of(contender.label, detector), data, how)
    return evaluation, _gallery(detector, evaluation, data, how) if pictures else Gallery()


def judge_of(label: str, detector: Detector) -> CandidateFacts:
    """Return how tables and files speak of a detector."""
    return CandidateFacts(label, detector.name, detector.fingerprint, detector.prompts, detector.trained)


def _gallery(detector: Detector, evaluation: Evaluation, data: DataSet, how: Measuring) -> Gallery:
    def shown(several: list[Kept]) -> list[Shown]:
        return [
            Shown(drawn(detector, kept, data, how), kept.scored.name, f"score {kept.scored.score:.4f}")
            for kept in several
        ]

    return Gallery(shown(evaluation.false_alarms), shown(evaluation.misses))
