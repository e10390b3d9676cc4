"""The interface of every detector, used by screening, evaluation and review."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.maps import MapLayer
from s2sw.model.towers.preprocess import Pictures


@dataclass(frozen=True, slots=True)
class Detection:
    """The result for a batch of pictures, float32 on the CPU.

    score: (B,), 0..1. family_scores: (B, families), in the order of family_names, 0..1 unless the detector
    says otherwise. token_map: (B, g, g), 0..1, before any upsampling or smoothing; (B, ...) for a detector
    whose map has several grids, or logits (map_layers). The full map is computed from it alone.
    """

    score: Tensor
    family_scores: Tensor
    token_map: Tensor


class Detector(Protocol):
    """The interface of every detector. Each row of a result depends only on its own picture."""

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
        """The class names that the bundle has vectors or memories for; empty where it needs none."""

    @property
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The grids of a token map, and how each of them enters the full map."""

    def detect(self, images: Pictures, class_names: Sequence[str] | None = None) -> Detection:
        """Score uint8 RGB pictures (B, H, W, 3); other sizes than S x S are resized, aspect not kept.

        class_names: the class of each picture (B of the bundle's names); may be left out if the bundle has at
        most one. Raises ValueError for any other dtype, shape or class name.
        """

    def detect_with_patches(
        self, images: Pictures, class_names: Sequence[str] | None = None
    ) -> tuple[Detection, list[Tensor]]:
        """Return the result of ``detect``, and the taps of ``patch_features`` for the same pictures."""

    def detect_normalized(self, x: Tensor, class_names: Sequence[str] | None = None) -> Detection:
        """Score normalised pictures, float (B, 3, S, S); raises ValueError for other shapes or names."""

    def raw(self, x: Tensor, class_names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """Return image scores (B,) and full maps (B, S, S) of normalised pictures, in the published ranges.

        Float32 on the CPU. Published programs sum where ``detect`` takes means, so the ranges differ.
        """

    @overload
    def full_map(self, token_map: Tensor, size: tuple[int, int] | None = None) -> Tensor: ...
    @overload
    def full_map(
        self, token_map: NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]: ...
    def full_map(self, token_map, size=None):  # type: ignore[no-untyped-def]
        """Return full maps (B, S, S), or (B, *size) for size=(rows, cols), 0..1, of token maps (B, ...).

        A tensor gives a tensor on its own device, an array gives an array.
        """

    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return raw image features (B, C) and raw patch features, a list of (B, N, C), class token first."""

    def patch_features(self, x: Tensor) -> list[tuple[str, Tensor]]:
        """Return each tap's name and patches, float32 (B, g * g, D), of normalised pictures (B, 3, S, S).

        Raw, without the class token, on the detector's device; D may differ from tap to tap.
        """
