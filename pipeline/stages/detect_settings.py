"""What the detect stage needs to know. Apart from the stage, which imports torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from s2sw.model.maps import MapLayer

if TYPE_CHECKING:  # they import torch
    from s2sw.model.detectors.contract import Detection
    from s2sw.model.precision import Precision


class Detector(Protocol):
    """The part of a detector's face that the pipeline needs."""

    @property
    def image_size(self) -> int:
        """Side of the square input, pixels."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that a picture may be of; empty where the detector asks for none."""

    @property
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The grids of a token map and their ways into the full map."""

    def detect(self, images: NDArray[np.uint8], class_names: Sequence[str] | None = None) -> "Detection":
        """Score uint8 (B, image_size, image_size, 3), each picture as one of its class."""


def load(bundle: Path, device: str, precision: "Precision") -> Detector:
    """Load a bundle's detector, in the process that runs it: it imports torch."""
    from s2sw.model import load_detector

    return load_detector(bundle, device, precision)


@dataclass(frozen=True)
class DetectSettings:
    """What an actor needs to know.

    load: makes the detector, in the actor. batch_size counts views: whole slices and tiles alike. threads:
    torch threads on a CPU; None leaves torch's own choice. mask_threads: masks made at once. deadline:
    seconds since the epoch after which slices are deferred instead of scored: minutes of work may lie decoded
    before a slow detector. private: no text of an error gets out.
    """

    load: Callable[[], Detector]
    threshold: float
    batch_size: int
    threads: int | None = None
    mask_threads: int = 1
    deadline: float | None = None
    private: bool = False
