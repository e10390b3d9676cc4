"""S2SWCLIP: four text families over the image feature, two branches over the patch tokens."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.contract import Built, DetectorKind, refuse_unknown
from s2sw.model.detectors.tower_detector import TwoStreamDetector, known_blocks, quarters
from s2sw.model.errors import BundleError
from s2sw.model.heads.fusion import FAMILIES, class_vectors
from s2sw.model.heads.similarity import TAU, anomaly_probability
from s2sw.model.heads.spatial import spatial_features
from s2sw.model.heads.wavelet import WaveletBranch
from s2sw.model.precision import Precision
from s2sw.model.prompts.text_features import text_features
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import ClipWeights

Taps = Literal["released", "per_layer"]
FUSED = FAMILIES.index("fused")
MIX = (0.9, 0.1)
"""Weights of the spatial and the wavelet map by default: those of prompts trained on MVTec AD."""


@dataclass(frozen=True, slots=True)
class Settings:
    """mix: weights of the spatial and the wavelet map. taps: see ``build``. Blocks count from 1."""

    mix: tuple[float, float]
    taps: Taps
    two_stream_from: int
    tap_blocks: tuple[int, ...]


class S2swClip(TwoStreamDetector):
    """The detector over a loaded bundle; the class vectors are its only trace of the text tower."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.mix: tuple[float, float] = tuple(record.settings["mix"])
        self.wavelet = WaveletBranch().to(self.device)

    def heads(self, seen: TowerOutput) -> tuple[Tensor, Tensor]:
        """Map what the tower gives to family scores (B, 4) and token maps (B, g, g), 0..1."""
        maps = [self.token_map(self.tower.project(y)) for y in seen.taps]
        return self.families(self.image_feature(seen.final)), torch.stack(maps).mean(dim=0)

    def families(self, feature: Tensor) -> Tensor:
        """Return each family's anomaly score (B, 4), 0..1, of image features (B, C)."""
        logits = torch.einsum("bc,fkc->bfk", functional.normalize(feature, dim=-1), self.vectors) / TAU
        return logits.softmax(dim=-1)[..., 1]

    def token_map(self, patches: Tensor) -> Tensor:
        """Return the map (B, g, g), 0..1, of one tap's raw patch features (B, N, C)."""
        p = functional.normalize(patches, dim=-1)
        fused = self.vectors[FUSED]
        spatial = anomaly_probability(spatial_features(p), fused, fused)
        wavelet = anomaly_probability(self.wavelet(p), fused, fused)
        share_spatial, share_wavelet = self.mix
        mixed = share_spatial * spatial + share_wavelet * wavelet
        return mixed[:, 1:].reshape(-1, self.grid, self.grid)


def build(clip: ClipWeights, image_size: int, options: Mapping[str, Any]) -> Built:
    """Compute the class vectors and settle the tower's settings.

    Options: prompts (file, LearnedPrompts or "handwritten"); mix, two weights that sum to 1; taps,
    "released" (one tap after the last block, as the released program computes) or "per_layer" (the
    paper's four); two_stream_from and tap_blocks, counted from 1, scaled to the tower's depth by default.
    """
    refuse_unknown("s2swclip", options, {"prompts", "mix", "taps", "two_stream_from", "tap_blocks"})
    settings = settle(clip.vision.layers, options)
    check_grid(image_size, clip.vision.patch)
    features, label = text_features(clip, options.get("prompts", "handwritten"))
    vectors = class_vectors(features["state"], features["object"], features["defect"])
    return Built({"class_vectors": vectors}, asdict(settings), FAMILIES, label)


def settle(layers: int, options: Mapping[str, Any]) -> Settings:
    """Check the options and fill in what is left open; taps of 24 blocks are 6, 12, 18 and 24."""
    mix = tuple(float(share) for share in options.get("mix", MIX))
    if len(mix) != 2 or min(mix) < 0 or abs(sum(mix) - 1) > 1e-6:
        raise BundleError(f"mix: {mix} given; two weights (spatial, wavelet) that sum to 1 are needed")
    taps = options.get("taps", "released")
    if taps not in get_args(Taps):
        raise BundleError(f"taps: {taps!r} given; 'released' or 'per_layer' is needed")
    every = quarters(layers)
    start = options.get("two_stream_from") or every[0]
    blocks = options.get("tap_blocks") or (every if taps == "per_layer" else every[-1:])
    return Settings((mix[0], mix[1]), taps, start, known_blocks(blocks, start, layers))


def check_grid(image_size: int, patch: int) -> None:
    """Refuse sides whose grid is even: with the class token the wavelets then have an odd length."""
    grid = image_size // patch
    if grid % 2 == 0:
        fits = [(g * patch) for g in (grid - 1, grid + 1) if g > 0]
        raise BundleError(
            f"image_size: {image_size} gives {grid} patches of {patch} px a side, where the wavelets "
            f"need an odd number; take {' or '.join(map(str, fits))}"
        )


KIND = DetectorKind(build, S2swClip)
