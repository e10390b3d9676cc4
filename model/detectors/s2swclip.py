"""S2SWCLIP: four text families over the image feature, two branches over the patch tokens."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores, mean_of
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication
from s2sw.model.detectors.options import BuildOptions, FirstBlock, Flag, Prompts, TapBlocks
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
    """mix: weights of the spatial and the wavelet map. taps: see S2swClipOptions. Blocks count from 1."""

    mix: tuple[float, float]
    taps: Taps
    two_stream_from: int
    tap_blocks: tuple[int, ...]


class S2swClip(TwoStreamDetector):
    """The detector over a loaded bundle; the class vectors are its only trace of the text tower."""

    published_map = 4.0  # the sum of four taps

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.mix: tuple[float, float] = tuple(record.settings["mix"])
        self.wavelet = WaveletBranch().to(self.device)

    @override
    def heads(self, seen: TowerOutput, classes: Tensor) -> Scores:
        maps = [self.token_map(self.tower.project(y)) for y in seen.taps]
        return mean_of(self.families(self.image_feature(seen.final)), torch.stack(maps).mean(dim=0))

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


def _two_shares(mix: tuple[float, float]) -> tuple[float, float]:
    if min(mix) < 0 or abs(sum(mix) - 1) > 1e-6:
        raise ValueError(f"{mix} given; two weights (spatial, wavelet) that sum to 1 are needed")
    return mix


class S2swClipOptions(BuildOptions):
    """What an S2SWCLIP bundle is built from."""

    prompts: Prompts = "handwritten"
    mix: Annotated[
        tuple[float, float],
        AfterValidator(_two_shares),
        Flag("wavelet", float, lambda share: (1 - share, share)),
        Field(
            description="the weights of the spatial and the wavelet map; on the command line only the weight "
            "of the wavelet map: 0.1 for prompts trained on MVTec AD, 0.5 for VisA"
        ),
    ] = MIX
    taps: Taps = Field(
        "released",
        description="`released`: one tap after the last block, as in the published measurements; or "
        "`per_layer`: the four taps that the paper describes",
    )
    two_stream_from: FirstBlock = None
    tap_blocks: TapBlocks = None


def build(clip: ClipWeights, image_size: int, options: S2swClipOptions) -> Built:
    """Compute the class vectors (4, 2, C) and settle the tower's settings."""
    settings = resolve_settings(clip.vision.layers, options)
    check_grid(image_size, clip.vision.patch)
    features, label = text_features(clip, options.prompts)
    vectors = class_vectors(features["state"], features["object"], features["defect"])
    return Built({"class_vectors": vectors}, asdict(settings), FAMILIES, label)


def resolve_settings(layers: int, options: S2swClipOptions) -> Settings:
    """Fill in what the options leave open, by the depth; taps of 24 blocks are 6, 12, 18 and 24."""
    every = quarters(layers)
    start = options.two_stream_from or every[0]
    blocks = options.tap_blocks or (every if options.taps == "per_layer" else every[-1:])
    return Settings(options.mix, options.taps, start, known_blocks(blocks, start, layers))


def check_grid(image_size: int, patch: int) -> None:
    """Refuse sides whose grid is even: with the class token the wavelets then have an odd length."""
    grid = image_size // patch
    if grid % 2 == 0:
        fits = [(g * patch) for g in (grid - 1, grid + 1) if g > 0]
        raise BundleError(
            f"image_size: {image_size} gives {grid} patches of {patch} px a side, where the wavelets "
            f"need an odd number; take {' or '.join(map(str, fits))}"
        )


KIND = DetectorKind(
    build,
    S2swClip,
    S2swClipOptions,
    Publication(
        name="S2SWCLIP",
        checkpoint="prompts, `prompt_learner` in a `.pth`; or none, with handwritten prompts",
        licence="none given",
        trained_on="the test pictures of MVTec AD, or of VisA",
        means="made for industrial parts; MVTec AD is licensed for non-commercial use; measure it first on "
        "medical pictures",
    ),
)
