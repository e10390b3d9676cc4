"""What an evaluation finds, and how it is written as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.model.metrics import Ranking

METRICS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1max": "pixel F1-max",
    "pixel_aupro": "pixel AUPRO",
}
"""Keys of the JSON, and how people read them. All are in 0..1; AUPRO is up to 30 % false positives."""

Figures = dict[str, float | None]
"""Metric to value; None where it is not defined, as pixel metrics without masks."""


@dataclass(frozen=True)
class CandidateFacts:
    """What is evaluated: a detector's bundle, or the stored scores of one fingerprint."""

    label: str
    detector: str
    fingerprint: str
    prompts: str
    trained: bool


@dataclass(frozen=True)
class Scored:
    """One picture's label and score. place: its number in the data set's list."""

    place: int
    group: str
    name: str
    anomalous: bool
    score: float


@dataclass(frozen=True)
class Kept:
    """A picture to be shown, with what is needed to draw its map: float32 as the detector gave it."""

    scored: Scored
    token_map: NDArray[np.float32]


@dataclass(frozen=True)
class ClassResult:
    """The rankings of one class's pictures and pixels; None where the data has no masks."""

    image: Ranking
    pixel: Ranking | None

    def figures(self) -> Figures:
        """Return the metrics by key."""
        pixel = self.pixel
        return {
            "image_auroc": self.image.auroc,
            "image_ap": self.image.ap,
            "image_f1max": self.image.f1max,
            "pixel_auroc": pixel.auroc if pixel else None,
            "pixel_ap": pixel.ap if pixel else None,
            "pixel_f1max": pixel.f1max if pixel else None,
            "pixel_aupro": pixel.aupro if pixel else None,
        }


@dataclass(frozen=True)
class Evaluation:
    """One judge on one data set.

    false_alarms, misses: the normal pictures of the highest scores and the anomalous ones of the lowest.
    seconds: median time of the detector for a picture; None for stored scores.
    """

    judge: CandidateFacts
    dataset: str
    classes: dict[str, ClassResult]
    scored: list[Scored]
    false_alarms: list[Kept] = field(default_factory=list)
    misses: list[Kept] = field(default_factory=list)
    seconds: float | None = None

    def mean(self) -> Figures:
        """Return each metric's mean over the classes that have it."""
        return mean_figures(result.figures() for result in self.classes.values())

    def record(self) -> dict[str, Any]:
        """Return what goes into the JSON file."""
        judge = self.judge
        return {
            "mean": self.mean(),
            "classes": {name: _class_record(result) for name, result in self.classes.items()},
            "dataset": self.dataset,
            "bundle": judge.label,
            "detector": judge.detector,
            "prompts": judge.prompts,
            "trained": judge.trained,
            "fingerprint": judge.fingerprint,
        }


def _class_record(result: ClassResult) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "images": result.image.normal + result.image.anomalous,
        "anomalous_images": result.image.anomalous,
        "image_f1_threshold": result.image.f1_threshold,
    }
    if result.pixel:
        counts |= {
            "pixels": result.pixel.normal + result.pixel.anomalous,
            "anomalous_pixels": result.pixel.anomalous,
            "pixel_f1_threshold": result.pixel.f1_threshold,
        }
    return result.figures() | counts


def mean_figures(several: Iterable[Figures]) -> Figures:
    """Return the mean of each metric over those that have it; None where none has."""
    rows = list(several)
    columns = {key: [row[key] for row in rows] for key in METRICS}
    found = {key: [value for value in values if value is not None] for key, values in columns.items()}
    return {key: float(np.mean(values)) if values else None for key, values in found.items()}


def json_record(evaluations: list[Evaluation]) -> dict[str, Any]:
    """Return the content of the JSON file: of one evaluation its own keys, of several a list of them."""
    records = [evaluation.record() for evaluation in evaluations]
    return records[0] if len(records) == 1 else {"evaluations": records}
