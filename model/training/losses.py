"""The training losses of one step, from image and patch features to a scalar.

Source: the S2SWCLIP paper's training objective, as its released program computes it; CLIP is frozen, and
gradients reach the prompts through the text features alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.heads.fusion import FAMILIES
from s2sw.model.heads.similarity import TAU, similarity

FOCAL_GAMMA, FOCAL_SMOOTH = 2.0, 1e-5
DICE_SMOOTH = 1.0


@dataclass(frozen=True, slots=True)
class Losses:
    """image: cross entropies (4,) in the order of FAMILIES. pixel_object, pixel_state: scalars."""

    image: Tensor
    pixel_object: Tensor
    pixel_state: Tensor

    def total(self, object_weight: float) -> Tensor:
        """Return their sum without the pair losses; object_weight: 0.001 for MVTec AD, 1 for VisA."""
        return self.image.sum() + object_weight * self.pixel_object + self.pixel_state


def image_logits(feature: Tensor, vectors: Tensor) -> Tensor:
    """Return logits (4, B, 2) of raw image features (B, C) against class vectors (4, 2, C)."""
    return torch.einsum("bc,fkc->fbk", functional.normalize(feature, dim=-1), vectors) / TAU


def step_losses(
    feature: Tensor, taps: Sequence[Tensor], vectors: Tensor, masks: Tensor, labels: Tensor
) -> Losses:
    """Return the losses of one batch.

    feature: raw image features (B, C). taps: raw patch features (B, N, C), class token first; the released
    program has the same tensor four times. vectors: (4, 2, C) of ``fusion.class_vectors``, with gradient.
    masks: (B, S, S), 0 normal and 1 anomalous. labels: (B,), 0 or 1.
    """
    logits = image_logits(feature, vectors)
    image = torch.stack([functional.cross_entropy(one, labels.long()) for one in logits])
    families = dict(zip(FAMILIES, vectors, strict=True))
    pixel = {
        name: torch.stack([_tap_loss(tap, families[name], families["fused"], masks) for tap in taps]).sum()
        for name in ("object", "state")
    }
    return Losses(image, pixel["object"], pixel["state"])


def _tap_loss(patches: Tensor, vectors: Tensor, fused: Tensor, masks: Tensor) -> Tensor:
    """Return focal plus both Dice losses of one tap's map, straight from the patch features."""
    tokens = functional.normalize(patches, dim=-1)
    return map_loss((similarity(tokens, vectors, fused) / TAU).softmax(dim=-1), masks)


def map_loss(shares: Tensor, masks: Tensor) -> Tensor:
    """Return focal plus both classes' Dice losses of upsampled class shares.

    shares: of tokens, (B, 1 + g * g, 2), class token first. masks: (B, S, S).
    """
    grid = round((shares.shape[1] - 1) ** 0.5)
    maps = shares[:, 1:].permute(0, 2, 1).reshape(len(shares), 2, grid, grid)
    maps = functional.interpolate(maps, size=masks.shape[-2:], mode="bilinear", align_corners=False)
    return focal(maps, masks) + dice(maps[:, 1], masks) + dice(maps[:, 0], 1 - masks)


def focal(maps: Tensor, masks: Tensor) -> Tensor:
    """Return the focal loss (gamma 2) of class shares (B, 2, S, S) for masks (B, S, S), mean over pixels.

    The one-hot target is kept 1e-5 away from 0 and 1, and the share of the true class from 0.
    """
    target = torch.stack([1 - masks, masks], dim=1).clamp(FOCAL_SMOOTH, 1 - FOCAL_SMOOTH)
    true = (target * maps).sum(dim=1) + FOCAL_SMOOTH
    return -((1 - true) ** FOCAL_GAMMA * true.log()).mean()


def dice(share: Tensor, masks: Tensor) -> Tensor:
    """Return one minus the Dice coefficient (smooth 1), mean over pictures; (B, S, S) both."""
    share, masks = share.flatten(1), masks.flatten(1)
    overlap = 2 * (share * masks).sum(dim=1) + DICE_SMOOTH
    return 1 - (overlap / (share.sum(dim=1) + masks.sum(dim=1) + DICE_SMOOTH)).mean()


def pair_loss(logits: Tensor, labels: Tensor, first: int, second: int) -> Tensor:
    """Return the pair loss of two pictures for one family's logits (B, 2).

    With d the distance of their anomalous logits: d^2 / 2 for one label, relu((1 - d)^2) / 2 for two.
    """
    distance = (logits[first, 1] - logits[second, 1]).abs()
    if labels[first] == labels[second]:
        return 0.5 * distance**2
    return 0.5 * functional.relu((1 - distance) ** 2)
