"""AnomalyCLIP: one object-agnostic pair of learned prompts over the two-stream tower.

Source: Zhou et al., AnomalyCLIP, ICLR 2024, as its released program computes it.
"""

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.detectors.base import Scores, mean_of
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication
from s2sw.model.detectors.options import BuildOptions, FirstBlock, Prompts, TapBlocks
from s2sw.model.detectors.tower_detector import TwoStreamDetector, known_blocks, quarters
from s2sw.model.heads.similarity import TAU
from s2sw.model.prompts.text_features import text_features
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import ClipWeights

FAMILY = "object"
"""The one family of S2SWCLIP's prompts that AnomalyCLIP has: "object", "damaged object"."""


class AnomalyClip(TwoStreamDetector):
    """The detector over a loaded bundle; its one family score is the image score."""

    @override
    def heads(self, seen: TowerOutput, classes: Tensor) -> Scores:
        score = anomaly_share(self.image_feature(seen.final), self.vectors)
        maps = [anomaly_share(self.tower.project(y)[:, 1:], self.vectors) for y in seen.taps]
        return mean_of(score[:, None], torch.stack(maps).mean(dim=0).reshape(-1, self.grid, self.grid))


def logits(features: Tensor, vectors: Tensor) -> Tensor:
    """Return (..., 2), normal and anomalous, of raw features (..., C) and L2-normalised vectors (2, C).

    Differentiable in both, for image features and patch features alike.
    """
    return functional.normalize(features, dim=-1) @ vectors.T / TAU


def anomaly_share(features: Tensor, vectors: Tensor) -> Tensor:
    """Return the anomalous entry (...) of the softmax over ``logits``, 0..1."""
    both = logits(features, vectors)
    return torch.sigmoid(both[..., 1] - both[..., 0])


class AnomalyClipOptions(BuildOptions):
    """What an AnomalyCLIP bundle is built from."""

    prompts: Prompts = "handwritten"
    two_stream_from: FirstBlock = None
    tap_blocks: TapBlocks = None


def build(clip: ClipWeights, image_size: int, options: AnomalyClipOptions) -> Built:
    """Compute the class vectors (2, C) and settle the tower's blocks.

    By default two streams start after a quarter of the tower, and the last block alone is tapped: the
    released program's four taps are, by aliasing, that one tensor.
    """
    first, *_, last = quarters(clip.vision.layers)
    start = options.two_stream_from or first
    taps = known_blocks(options.tap_blocks or (last,), start, clip.vision.layers)
    features, label = text_features(clip, options.prompts, (FAMILY,))
    vectors = functional.normalize(features[FAMILY], dim=-1)
    settings = {"two_stream_from": start, "tap_blocks": taps}
    return Built({"class_vectors": vectors}, settings, (FAMILY,), label)


KIND = DetectorKind(
    build,
    AnomalyClip,
    AnomalyClipOptions,
    Publication(
        name="AnomalyCLIP (ICLR 2024)",
        checkpoint="prompts, `prompt_learner` in a `.pth`; or none, with handwritten prompts",
        licence="MIT",
        trained_on="the test pictures of MVTec AD, or of VisA",
        means="made for industrial parts and published on medical pictures too; MVTec AD is licensed for "
        "non-commercial use",
    ),
)
