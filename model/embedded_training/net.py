"""The network that is trained: the tower's blocks over frozen stem features, and the class vectors."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.detectors.embedded import TWO_STREAM_FROM
from s2sw.model.detectors.s2swclip import MIX
from s2sw.model.embedded_training.pictures import QUICK
from s2sw.model.heads.fusion import FAMILIES
from s2sw.model.heads.similarity import TAU, similarity
from s2sw.model.heads.spatial import spatial_features
from s2sw.model.heads.wavelet import WaveletBranch
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.towers.shapes import StemShape, VisionShape
from s2sw.model.towers.stem import describe
from s2sw.model.towers.visual import VisionTower
from s2sw.model.weights.tensors import load_exactly

WIDTH, LAYERS, JOINT = 256, 2, 64


def tower_shape(stem: StemShape) -> VisionShape:
    """Return the shape of the embedded tower: 350 pixels a side, 25 x 25 patches."""
    patch = stem.backbone.patch
    return VisionShape(WIDTH, LAYERS, WIDTH // 64, patch, PICTURE // patch, JOINT, "gelu", stem)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network says of a batch, as logits (anomalous minus normal), float32.

    image: (4, B, 2) of the image feature. token: name to (B, N - 1), of each map that is trained.
    """

    image: Tensor
    token: dict[str, Tensor]

    @property
    def score(self) -> Tensor:
        """Return the mean score of the four families (B,), 0..1."""
        return self.image.softmax(dim=-1)[..., 1].mean(dim=0)

    @property
    def map(self) -> Tensor:
        """Return the token map (B, N - 1), 0..1, as the detector computes it."""
        spatial, wavelet = MIX
        return spatial * torch.sigmoid(self.token["fused"]) + wavelet * torch.sigmoid(self.token["wavelet"])


class EmbeddedNet(nn.Module):
    """S2SWCLIP's tower and head; class vectors are parameters, since there is no text tower."""

    def __init__(self, stem: StemShape) -> None:
        super().__init__()
        self.tower = VisionTower(tower_shape(stem))
        del self.tower.stem  # frozen: its features come from outside
        self.stem_shape = stem
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
        """Take over an exported file's tensors, all but the calibration; BundleError names what is wrong."""
        named = {"visual": "tower", "class_vectors": "vectors"}
        parts = {name: name.partition(".") for name in tensors if not name.startswith("calibration.")}
        own = {named.get(a, a) + dot + b: tensors[name].float() for name, (a, dot, b) in parts.items()}
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
        described = describe(features, self.stem_shape)
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
