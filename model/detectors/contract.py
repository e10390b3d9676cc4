"""What every detector of the family offers, and what a bundle needs to know about a kind of detector."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.errors import BundleError
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision
from s2sw.model.towers.preprocess import Pictures
from s2sw.model.weights.clip import ClipWeights


@dataclass(frozen=True, slots=True)
class Detection:
    """What a batch of pictures gives, float32 on the CPU.

    score: (B,), 0..1. family_scores: (B, families), 0..1, in the order of family_names.
    token_map: (B, g, g), 0..1, before any upsampling or smoothing; (B, ...) for a detector whose map is made
    of several grids, or of logits (map_layers). The full map is made of it alone.
    """

    score: Tensor
    family_scores: Tensor
    token_map: Tensor


class Detector(Protocol):
    """The face of every detector. A row of a result depends on its own picture alone."""

    @property
    def name(self) -> str:
        """The kind of detector, as bundle.json names it."""

    @property
    def image_size(self) -> int:
        """Side S of the square input, pixels."""

    @property
    def grid(self) -> int:
        """Patches along a side, g."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of the bundle that changes results."""

    @property
    def prompts(self) -> str:
        """Which prompts the class vectors were made from."""

    @property
    def trained(self) -> bool:
        """False where the weights are random, so that scores mean nothing."""

    @property
    def family_names(self) -> tuple[str, ...]:
        """The columns of family_scores; may be empty."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names that the bundle has vectors for; empty for a detector that needs none."""

    @property
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The grids of a token map and their ways into the full map."""

    def detect(self, images: Pictures, class_names: Sequence[str] | None = None) -> Detection:
        """Score uint8 RGB pictures (B, H, W, 3) of any size; class_names: each picture's class."""

    def detect_normalized(self, x: Tensor, class_names: Sequence[str] | None = None) -> Detection:
        """Score normalised pictures, float (B, 3, S, S)."""

    @overload
    def full_map(self, token_map: Tensor, size: tuple[int, int] | None = None) -> Tensor: ...
    @overload
    def full_map(
        self, token_map: NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]: ...
    def full_map(self, token_map, size=None):  # type: ignore[no-untyped-def]
        """Return full maps (B, rows, cols), 0..1, of token maps (B, ...)."""

    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return raw image features (B, C) and raw patch features, a list of (B, N, C)."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a kind of detector adds to a bundle beside the visual tower.

    tensors: computed once from the text side (names without ``visual.``). settings: for bundle.json.
    """

    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    family_names: tuple[str, ...]
    prompts: str


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """build: (clip, image_size, options) to Built; unknown options are an error of its own.

    load: (record, visual and own tensors, device, precision) to a detector. image_size, clip: what its
    publication used. bundle: (folder, image_size, options, trained) writes the whole bundle instead, for a
    detector without a CLIP.
    """

    build: Callable[[ClipWeights, int, Mapping[str, Any]], Built]
    load: Callable[[BundleRecord, dict[str, Tensor], str, Precision], Detector]
    image_size: int = 518
    clip: str = "ViT-L-14-336/openai"
    bundle: Callable[..., Path] | None = None


def draft_record(
    detector: str, clip: ClipWeights, image_size: int, built: Built, **more: Any
) -> BundleRecord:
    """Return the record of a bundle that is being built; ``more`` fills in what is known only then."""
    mean, std = clip.normalisation
    entries = {
        "detector": detector,
        "image_size": image_size,
        "grid": image_size // clip.vision.patch,
        "vision": clip.vision,
        "mean": mean,
        "std": std,
        "settings": built.settings,
        "family_names": built.family_names,
        "weights_sha256": "",
        "clip": clip.label,
        "prompts": built.prompts,
        "trained": True,
    }
    return BundleRecord(**(entries | more))


def refuse_unknown(detector: str, options: Mapping[str, Any], known: set[str]) -> None:
    """Raise BundleError for an option that this detector does not have."""
    for name in options.keys() - known:
        raise BundleError(f"{name}: {detector} has no such option; it has {', '.join(sorted(known))}")
