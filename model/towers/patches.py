"""What vision transformers share before their blocks: pictures cut into patches, and positions resized."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Resize = Literal["bilinear", "bicubic", "bicubic_plain"]


def cut(images: Tensor, patch: int) -> Tensor:
    """Cut images (B, 3, S, S) into patches (B, g * g, 3 * patch * patch); a rest is left out."""
    grid = images.shape[-1] // patch
    cells = images[..., : grid * patch, : grid * patch]
    cells = cells.reshape(*cells.shape[:2], grid, patch, grid, patch)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def resize_positions(positions: Tensor, grid: int, how: Resize) -> Tensor:
    """Resize positions (1 + own * own, width) to (1 + grid * grid, width); the class position stays.

    ``bilinear`` is without antialiasing (S2SWCLIP, AnomalyCLIP), ``bicubic`` with it (open_clip,
    APRIL-GAN), ``bicubic_plain`` without (DINOv2); all with align_corners=False.
    """
    own = round((positions.shape[0] - 1) ** 0.5)
    if own == grid:
        return positions
    square = positions[1:].reshape(1, own, own, -1).permute(0, 3, 1, 2)
    mode = how.removesuffix("_plain")
    square = functional.interpolate(
        square, size=(grid, grid), mode=mode, align_corners=False, antialias=how == "bicubic"
    )
    return torch.cat([positions[:1], square.flatten(2).squeeze(0).T])
