"""Hierarchical fusion of patch tokens, the spatial branch of the S2SWCLIP map."""

import torch
from torch import Tensor
from torch.nn import functional

POOLED = 384


def interpolate_tokens(x: Tensor, size: int, keep: int) -> Tensor:
    """Interpolate (B, M, C) linearly along tokens to ``size`` (align_corners=True); return the first keep."""
    source = torch.arange(keep, device=x.device, dtype=torch.float32) * ((x.shape[1] - 1) / (size - 1))
    low = source.floor().long().clamp_(max=x.shape[1] - 1)
    high = (low + 1).clamp_(max=x.shape[1] - 1)
    return torch.lerp(x[:, low], x[:, high], (source - low).unsqueeze(-1))


def hierarchical_fusion(p: Tensor) -> Tensor:
    """Return h(p), (B, N, C), of normalised patch tokens p (B, N, C); C even.

    Source: the S2SWCLIP paper, hierarchical feature fusion, with the released program's constants.
    """
    batch, tokens, channels = p.shape
    high = interpolate_tokens(p, int(1.5 * tokens), tokens)
    as_image = p.unsqueeze(1)
    average = functional.adaptive_avg_pool2d(as_image, (POOLED, channels)).squeeze(1)
    maximum = functional.adaptive_max_pool2d(as_image, (POOLED, channels)).squeeze(1)
    both = average + maximum
    across = torch.cat([average, maximum], dim=-1).view(batch, POOLED, channels, 2).amax(dim=-1)
    weight = both.mean(dim=1, keepdim=True).softmax(dim=-1)
    gate = torch.sigmoid(torch.lerp(maximum, average, weight) + both + across)
    return 0.01 * high + 0.99 * interpolate_tokens(gate, tokens, tokens)


def spatial_features(p: Tensor) -> Tensor:
    """Return the spatial branch's tokens q = normalise(0.2 h(p) + 0.8 p), (B, N, C)."""
    return functional.normalize(0.2 * hierarchical_fusion(p) + 0.8 * p, dim=-1)
