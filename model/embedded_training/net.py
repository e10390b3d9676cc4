"""The network that is trained: the tower's blocks over frozen stem features, and the class vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.detectors.embedded import TWO_STREAM_FROM
from s2sw.model.detectors.s2swclip import MIX
from s2sw.model.embedded_training.ring import BLOCK, QUICK, draw_scenes, seen_by
from s2sw.model.heads.fusion import FAMILIES
from s2sw.model.heads.similarity import TAU, similarity
from s2sw.model.heads.spatial import spatial_features
from s2sw.model.heads.wavelet import WaveletBranch
from s2sw.model.synthetic.scenes import training_mixture
from s2sw.model.towers.shapes import VisionShape
from s2sw.model.towers.stem import Stem, StemShape, describe, stem_shape
from s2sw.model.towers.visual import VisionTower
from s2sw.model.weights.efficientnet import lite0_stem, published_file
from s2sw.model.weights.tensors import load_exactly, read_tensors

WIDTH, LAYERS, GRID, JOINT = 256, 5, 15, 64

SAMPLE = 512
"""Pictures whose features give the stem's usual range."""


def fresh_stem() -> Stem:
    """Return EfficientNet-lite0's stem; its features are not yet brought to a common range."""
    tensors = lite0_stem(published_file())
    shape = stem_shape({f"stem.{n}": t for n, t in tensors.items()}, "stem.", "EfficientNet-lite0")
    assert shape is not None
    stem = Stem(shape)
    stem.load_state_dict(tensors, strict=False)
    return stem.requires_grad_(False).eval()


def stem_of(tensors: Mapping[str, Tensor], source: str) -> Stem:
    """Return the stem of a trained file, its features' range included; BundleError where it does not fit."""
    stem, prefix = fresh_stem(), "visual.stem."
    own = {n.removeprefix(prefix): t.float() for n, t in tensors.items() if n.startswith(prefix)}
    load_exactly(stem, own, source)
    return stem


def scaled_stem(path: Path, seed: int) -> Stem:
    """Return the stem with features of mean 0 and deviation 1 over generated pictures; kept at path."""
    stem = fresh_stem()
    if path.is_file():
        stem.load_state_dict(read_tensors(path))
        return stem
    scenes = draw_scenes(np.random.default_rng([seed, 2]), training_mixture(0.5), SAMPLE)
    parts = [seen_by(stem, scenes[at : at + BLOCK]) for at in range(0, SAMPLE, BLOCK)]
    deviation, mean = torch.std_mean(torch.cat(parts).flatten(0, 1).float(), dim=0)
    stem.mean.data, stem.scale.data = mean, 1 / deviation
    torch.save(stem.state_dict(), path)
    return stem


def tower_shape(stem: StemShape) -> VisionShape:
    """Return the shape of the embedded tower: 240 pixels a side, 15 x 15 patches."""
    return VisionShape(WIDTH, LAYERS, WIDTH // 64, stem.stride, GRID, JOINT, "gelu", stem)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network says of a batch, as logits (anomalous minus normal), float32.

    image: (4, B, 2) of the image feature. token: name to (B, N - 1), of each map that is trained.
    """

    image: Tensor
    token: dict[str, Tensor]

    @property
    def score(self) -> Tensor:
        """Return the image score (B,), 0..1, as the detector computes it."""
        return self.image.softmax(dim=-1)[..., 1].mean(dim=0)

    @property
    def map(self) -> Tensor:
        """Return the token map (B, N - 1), 0..1, as the detector computes it."""
        spatial, wavelet = MIX
        return spatial * torch.sigmoid(self.token["fused"]) + wavelet * torch.sigmoid(self.token["wavelet"])


class EmbeddedNet(nn.Module):
    """S2SWCLIP's tower and head; class vectors are parameters, since there is no text tower."""

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.tower = VisionTower(tower_shape(stem.shape))
        del self.tower.stem  # frozen: its features come from outside
        self.groups = stem.shape.groups
        self.wavelet = WaveletBranch()
        self.vectors = nn.Parameter(torch.empty(len(FAMILIES), 2, JOINT))

    def start(self, seed: int) -> None:
        """Draw all parameters from a seed."""
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            with torch.no_grad():
                if ".ln_" in name:
                    parameter.fill_(1.0 if name.endswith("weight") else 0.0)
                elif name.endswith("bias"):
                    parameter.zero_()
                else:
                    parameter.normal_(0, _deviation(name), generator=generator)

    def start_from(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Take over trained tensors (``visual.*``, class_vectors); columns that conv1 had not are zero.

        Raises BundleError, naming source and tensor, where they do not fit.
        """
        named = {"visual": "tower", "class_vectors": "vectors"}
        parts = {name: name.partition(".") for name in tensors}
        renamed = {named.get(a, a) + dot + b: tensors[name] for name, (a, dot, b) in parts.items()}
        own = {n: t.float() for n, t in renamed.items() if not n.startswith("tower.stem.")}
        if (kernel := own.get("tower.conv1.weight")) is not None:
            lack = max(0, self.tower.conv1.weight.shape[1] - kernel.shape[1])
            own["tower.conv1.weight"] = functional.pad(kernel, (0, 0, 0, 0, 0, lack))
        load_exactly(self, own, source)
        self.requires_grad_(True).train()

    def class_vectors(self) -> Tensor:
        """Return the normalised class vectors (4, 2, C)."""
        return functional.normalize(self.vectors, dim=-1)

    def forward(self, features: Tensor, shown: Tensor | None = None) -> Seen:
        """Map stem features (B, N - 1, K) to logits; the blocks in QUICK, scores in float32.

        Maps: those of method's losses (object and state, straight from the patch features) and the
        detector's own two branches (fused vectors after hierarchical fusion, and over wavelets).
        shown: (B, 1, described), multiplies what reaches the tower; None for all of it.
        """
        described = describe(features.float(), self.groups)
        described = described if shown is None else described * shown
        with torch.autocast("cpu", torch.bfloat16, enabled=QUICK is torch.bfloat16):
            tokens = self.tower.embed_patches(described)
            out = self.tower.two_stream(tokens.to(QUICK), TWO_STREAM_FROM, [LAYERS])
        vectors = self.class_vectors()
        feature = functional.normalize(out.final.float() @ self.tower.proj, dim=-1)
        patches = functional.normalize(self.tower.project(out.taps[0]), dim=-1)
        named = dict(zip(FAMILIES, vectors, strict=True))
        token = {name: _difference(patches, named[name], named["fused"]) for name in ("object", "state")}
        for name, branch in (("fused", spatial_features), ("wavelet", self.wavelet)):
            token[name] = _difference(branch(patches), named["fused"], named["fused"])
        return Seen(torch.einsum("bc,fkc->fbk", feature, vectors) / TAU, token)


def _deviation(name: str) -> float:
    if "embedding" in name:
        return 0.02
    if "conv1" in name:
        return 0.03
    return JOINT**-0.5 if name == "vectors" else 0.04


def _difference(tokens: Tensor, vectors: Tensor, fused: Tensor) -> Tensor:
    """Return anomalous minus normal similarity over tau, (B, N - 1), class token left out."""
    logits = similarity(tokens, vectors, fused) / TAU
    return (logits[..., 1] - logits[..., 0])[:, 1:]
