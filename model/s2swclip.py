"""S2SWCLIP: four text families over the image feature, two branches over the patch tokens."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from model.detector import TowerDetector
from model.errors import BundleError
from model.fusion import FAMILIES, class_vectors
from model.handwritten import handwritten_features
from model.kinds import Built, DetectorKind, Precision
from model.prompts import LearnedPrompts, read_prompts
from model.record import BundleRecord
from model.similarity import TAU, anomaly_probability
from model.spatial import spatial_features
from model.wavelet import WaveletBranch
from model.weights import ClipWeights

Taps = Literal["released", "per_layer"]
FUSED = FAMILIES.index("fused")


@dataclass(frozen=True, slots=True)
class Settings:
    """mix: weights of the spatial and the wavelet map. taps: see ``build``. Blocks count from 1."""

    mix: tuple[float, float]
    taps: Taps
    two_stream_from: int
    tap_blocks: tuple[int, ...]


class S2swClip(TowerDetector):
    """The detector over a loaded bundle; the class vectors are its only trace of the text tower."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        given = record.settings
        self.settings = Settings(
            tuple(given["mix"]), given["taps"], given["two_stream_from"], tuple(given["tap_blocks"])
        )
        self.vectors = tensors["class_vectors"].to(self.device)
        self.wavelet = WaveletBranch().to(self.device)

    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the raw image feature (B, C) and raw patch features, one (B, N, C) a tap, of (B, 3, S, S).

        Token 0 is the class token. Released taps are one tap, the paper's per-layer ones four.
        """
        final, taps = self.streams(x.to(self.device))
        return self.image_feature(final), [self.tower.project(y) for y in taps]

    def streams(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Run the tower: final class token (B, width) and the raw v-v streams (B, N, width) at the taps."""
        out = self.tower.two_stream(
            self.tower.embed(x), self.settings.two_stream_from, self.settings.tap_blocks
        )
        return out.final, out.taps

    def image_feature(self, final: Tensor) -> Tensor:
        """Project the final class token (B, width) to (B, C); as in the released program, without ln_post."""
        return final.float() @ self.tower.proj

    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised pictures (B, 3, S, S) to family scores (B, 4) and token maps (B, g, g), 0..1."""
        final, taps = self.streams(x)
        maps = [self.token_map(self.tower.project(y)) for y in taps]
        return self.families(self.image_feature(final)), torch.stack(maps).mean(dim=0)

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
        share_spatial, share_wavelet = self.settings.mix
        mixed = share_spatial * spatial + share_wavelet * wavelet
        return mixed[:, 1:].reshape(-1, self.grid, self.grid)


def build(clip: ClipWeights, image_size: int, options: Mapping[str, Any]) -> Built:
    """Compute the class vectors and settle the tower's settings.

    Options: prompts (file, LearnedPrompts or "handwritten"); mix, two weights that sum to 1; taps,
    "released" (one tap after the last block, as the released program computes) or "per_layer" (the
    paper's four); two_stream_from and tap_blocks, counted from 1, scaled to the tower's depth by default.
    """
    known = {"prompts", "mix", "taps", "two_stream_from", "tap_blocks"}
    for name in options.keys() - known:
        raise BundleError(f"{name}: s2swclip has no such option; it has {', '.join(sorted(known))}")
    settings = settle(clip.vision.layers, options)
    check_grid(image_size, clip.vision.patch)
    features, label = text_features(clip, options.get("prompts", "handwritten"))
    vectors = class_vectors(features["state"], features["object"], features["defect"])
    return Built({"class_vectors": vectors}, asdict(settings), FAMILIES, label)


@torch.inference_mode()
def text_features(clip: ClipWeights, prompts: str | Path | LearnedPrompts) -> tuple[dict[str, Tensor], str]:
    """Return each family's raw text features (2, C), and what the prompts are called."""
    tower = clip.text_tower()
    if prompts == "handwritten":
        return handwritten_features(tower), "handwritten"
    if isinstance(prompts, LearnedPrompts):
        return prompts.features(tower), "learned"
    learned = read_prompts(Path(prompts), clip.text.width)
    label = "authors' checkpoint" if learned.embedded else "learned"
    return learned.features(tower), f"{label} {Path(prompts).name}"


def settle(layers: int, options: Mapping[str, Any]) -> Settings:
    """Check the options and fill in what is left open; taps of 24 blocks are 6, 12, 18 and 24."""
    mix = tuple(float(share) for share in options.get("mix", (0.9, 0.1)))
    if len(mix) != 2 or min(mix) < 0 or abs(sum(mix) - 1) > 1e-6:
        raise BundleError(f"mix: {mix} given; two weights (spatial, wavelet) that sum to 1 are needed")
    taps = options.get("taps", "released")
    if taps not in get_args(Taps):
        raise BundleError(f"taps: {taps!r} given; 'released' or 'per_layer' is needed")
    every = tuple(max(1, round(layers * quarter / 4)) for quarter in (1, 2, 3, 4))
    blocks = tuple(options.get("tap_blocks") or (every if taps == "per_layer" else every[-1:]))
    start = options.get("two_stream_from") or every[0]
    if not 1 <= start <= layers or list(blocks) != sorted(set(blocks) & set(range(start, layers + 1))):
        raise BundleError(
            f"tap_blocks {blocks} from block {start} on: taps must rise from there to {layers} at most"
        )
    return Settings((mix[0], mix[1]), taps, start, blocks)


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
