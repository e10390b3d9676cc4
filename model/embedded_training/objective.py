"""What training minimises: method's image and pixel losses, and an order between a picture and its twin."""

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.embedded_training.net import Seen
from s2sw.model.embedded_training.pictures import GRID
from s2sw.model.heads.stem_memory import highest
from s2sw.model.training.losses import dice, focal

PIXEL_WEIGHT, RANK_WEIGHT, TWIN_WEIGHT = 0.5, 0.6, 0.3
TWIN_MARGIN = 2.0
PRIOR = 3.0
"""Logit by which cells without a defect outnumber the others; so the maps keep natural odds."""


def loss(seen: Seen, masks: Tensor, peak_weight: float = 0.0) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of a batch (normal, defective, normal, ...), and its parts for the log.

    masks: (B, M, M) float32, the share of defect in a cell. peak_weight: of the map's highest patches.
    """
    labels = torch.arange(len(masks)) % 2
    image = torch.stack([functional.cross_entropy(one, labels) for one in seen.image]).mean()
    pixel = torch.stack([pixel_loss(logits, masks) for logits in seen.token.values()]).mean()
    rank = torch.stack([rank_loss(logits, masks) for logits in seen.token.values()]).mean()
    twin = twin_loss(seen.image)
    peak = peak_loss(seen.token["fused"], labels)
    parts = {
        "image": float(image.detach()),
        "pixel": float(pixel.detach()),
        "rank": float(rank.detach()),
        "twin": float(twin.detach()),
        "peak": float(peak.detach()),
    }
    total = image + PIXEL_WEIGHT * pixel + RANK_WEIGHT * rank + TWIN_WEIGHT * twin + peak_weight * peak
    return total, parts


def pixel_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return focal plus both Dice losses of one map's logits (B, N - 1), enlarged to the masks' size."""
    share = torch.sigmoid(logits).reshape(-1, 1, GRID, GRID)
    anomalous = functional.interpolate(share, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    maps = torch.cat([1 - anomalous, anomalous], dim=1)
    return focal(maps, masks) + dice(maps[:, 1], masks) + dice(maps[:, 0], 1 - masks)


def rank_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the logistic loss of one map's logits (B, N - 1), defects and the rest weighing the same.

    Every defect counts alike, however small. Focal and Dice loss saturate: they give up what is faint.
    """
    share = functional.adaptive_avg_pool2d(masks[:, None], GRID).flatten(1)
    hit = share / (share.sum(dim=1, keepdim=True) + 1e-6)
    rest = 1 - share
    even = logits + PRIOR
    missed = (hit * functional.softplus(-even)).sum() / (hit.sum() + 1e-6)
    return missed + (rest * functional.softplus(even)).sum() / rest.sum()


def peak_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of a map's highest patches, as they speak for the picture, with its label.

    logits: (B, N - 1). What stands out most on a normal picture is pressed down, wherever it lies.
    """
    return functional.binary_cross_entropy_with_logits(highest(logits) + PRIOR, labels.float())


def twin_loss(image: Tensor) -> Tensor:
    """Return how far defective pictures fail to score above their normal twins by a margin.

    image: logits (4, B, 2). The published pair loss with a sign: it asks for the right order as well.
    """
    anomalous = image[..., 1] - image[..., 0]
    return functional.softplus(TWIN_MARGIN - (anomalous[:, 1::2] - anomalous[:, 0::2])).mean()
