"""AnomalyCLIP: one object-agnostic pair of learned prompts over the two-stream tower.

Source: Zhou et al., AnomalyCLIP, ICLR 2024, as its released program computes it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.detectors.contract import Built, DetectorKind, refuse_unknown
from s2sw.model.detectors.tower_detector import TwoStreamDetector, known_blocks, quarters
from s2sw.model.heads.similarity import TAU
from s2sw.model.prompts.text_features import text_features
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import ClipWeights

FAMILY = "object"
"""The one family of S2SWCLIP's prompts that AnomalyCLIP has: "object", "damaged object"."""


class AnomalyClip(TwoStreamDetector):
    """The detector over a loaded bundle; its one family score is the image score."""

    def heads(self, seen: TowerOutput) -> tuple[Tensor, Tensor]:
        """Map what the tower gives to the family score (B, 1) and token maps (B, g, g), 0..1."""
        score = anomaly_share(self.image_feature(seen.final), self.vectors)
        maps = [anomaly_share(self.tower.project(y)[:, 1:], self.vectors) for y in seen.taps]
        return score[:, None], torch.stack(maps).mean(dim=0).reshape(-1, self.grid, self.grid)


def logits(features: Tensor, vectors: Tensor) -> Tensor:
    """Return (..., 2), normal and anomalous, of raw features (..., C) and L2-normalised vectors (2, C).

    Differentiable in both, for image features and patch features alike.
    """
    return functional.normalize(features, dim=-1) @ vectors.T / TAU


def anomaly_share(features: Tensor, vectors: Tensor) -> Tensor:
    """Return the anomalous entry (...) of the softmax over ``logits``, 0..1."""
    both = logits(features, vectors)
    return torch.sigmoid(both[..., 1] - both[..., 0])


def build(clip: ClipWeights, image_size: int, options: Mapping[str, Any]) -> Built:
    """Compute the class vectors (2, C) and settle the tower's blocks.

    Options: prompts (file, LearnedPrompts or "handwritten"); two_stream_from and tap_blocks, counted from 1.
    By default two streams start after a quarter of the tower, and the last block alone is tapped: the
    released program's four taps are, by aliasing, that one tensor.
    """
    refuse_unknown("anomalyclip", options, {"prompts", "two_stream_from", "tap_blocks"})
    first, *_, last = quarters(clip.vision.layers)
    start = options.get("two_stream_from") or first
    taps = known_blocks(options.get("tap_blocks") or (last,), start, clip.vision.layers)
    features, label = text_features(clip, options.get("prompts", "handwritten"), (FAMILY,))
    vectors = functional.normalize(features[FAMILY], dim=-1)
    settings = {"two_stream_from": start, "tap_blocks": taps}
    return Built({"class_vectors": vectors}, settings, (FAMILY,), label)


KIND = DetectorKind(build, AnomalyClip)
