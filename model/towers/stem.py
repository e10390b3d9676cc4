"""What sees the pixels of the embedded tower: DINOv2's patch tokens at several depths, summed up a patch.

A tower with a stem embeds what the stem saw instead of bare pixels; everything after that is the same.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.errors import BundleError
from s2sw.model.towers.dinov2 import Dinov2, dinov2_shape
from s2sw.model.towers.self_similarity import unlike
from s2sw.model.towers.shapes import COMPARED, StemShape

FLAT = 0.1
"""Added to a feature's deviation within a picture, in units of its usual one: flat stays flat."""
FLAT_DISTANCE = 0.02
"""The same for distances, in their own unit."""
DISTANCE_SCALE = 4.0
"""Brings distances, mostly below a half, to the range of the other features."""


def stem_shape(tensors: Mapping[str, Tensor], prefix: str, source: str) -> StemShape | None:
    """Read a stem's shape off a state dict, None where there is none; a cut one raises BundleError."""
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    if not own:
        return None
    found = {int(m[1]): t for n, t in own.items() if (m := re.fullmatch(r"directions\.(\d+)", n))}
    if not found:
        raise BundleError(f"{source}: tensors {prefix}directions.* are missing; the stem is cut")
    taps = tuple(sorted(found))
    return StemShape(dinov2_shape(tensors, f"{prefix}backbone.", source), taps, found[taps[0]].shape[0])


class Stem(nn.Module):
    """Pictures to patch features: each tap's principal components, whitened, and distances in a picture."""

    def __init__(self, shape: StemShape) -> None:
        super().__init__()
        self.shape = shape
        self.backbone = Dinov2(shape.backbone)
        width, kept = shape.backbone.width, shape.kept
        self.means = _numbered(shape.taps, torch.zeros(width))
        self.directions = _numbered(shape.taps, torch.zeros(kept, width))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to patches (B, g * g, described), see describe."""
        return self.described(self.tapped(images))

    def tapped(self, images: Tensor) -> list[Tensor]:
        """Map normalised images (B, 3, S, S) to the taps' patch tokens, (B, g * g, width) each."""
        return self.backbone.patches(images, self.shape.taps)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to patch features (B, g * g, features), float32."""
        return self.summed(self.tapped(images))

    def described(self, taps: list[Tensor]) -> Tensor:
        """Map the taps' patch tokens to what reaches the tower, (B, g * g, described)."""
        return describe(self.summed(taps), self.shape)

    def summed(self, taps: list[Tensor]) -> Tensor:
        """Map the taps' patch tokens (B, g * g, width) to patch features (B, g * g, features), float32."""
        parts = [
            functional.linear(standard(tap) - self.means[str(number)], self.directions[str(number)])
            for number, tap in zip(self.shape.taps, taps, strict=True)
        ]
        return torch.cat([*parts, unlike(taps[-COMPARED:])], dim=-1)

    def lower(self, dtype: torch.dtype) -> None:
        """Compute the transformer in dtype; what follows stays in float32."""
        self.backbone.to(dtype)


def _numbered(taps: tuple[int, ...], like: Tensor) -> nn.ParameterDict:
    return nn.ParameterDict({str(number): nn.Parameter(like.clone()) for number in taps})


def standard(tokens: Tensor) -> Tensor:
    """Return tokens (..., C) with mean 0 and deviation 1 over channels, float32."""
    return functional.layer_norm(tokens.float(), tokens.shape[-1:])


def describe(features: Tensor, shape: StemShape) -> Tensor:
    """Return features (B, N, K), then the same relative to their picture, float32: (B, N, 2 K)."""
    components = features[..., : shape.components].float()
    distances = features[..., shape.components :].float()
    plain = [components, DISTANCE_SCALE * distances]
    return torch.cat([*plain, relative(components, FLAT), relative(distances, FLAT_DISTANCE)], dim=-1)


def relative(features: Tensor, flat: float) -> Tensor:
    """Return features (B, N, K) less their picture's mean over patches, divided by its deviation.

    What stands out in a picture is then large whatever the picture shows.
    """
    deviation, mean = torch.std_mean(features, dim=1, keepdim=True, correction=0)
    return (features - mean) / (deviation + flat)
