"""From pictures to the detector's input: Pillow's antialiased bicubic resize, then CLIP's normalisation."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pictures = NDArray[np.uint8] | Tensor


def as_batch(images: Pictures) -> Tensor:
    """Return pictures as a uint8 tensor (B, H, W, 3); raise ValueError for any other kind of array."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(
            np.require(images, requirements=("C", "W"))
        )  # torch warns of read-only ones
    batch = images
    if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[-1] != 3 or 0 in batch.shape[1:]:
        raise ValueError(
            f"images: {batch.dtype} {tuple(batch.shape)} given; the detector takes uint8 (B, H, W, 3)"
        )
    return batch


def resize_to_square(batch: Tensor, side: int) -> Tensor:
    """Resize uint8 (B, H, W, 3) to (B, side, side, 3), aspect not kept, by Pillow's own BICUBIC.

    Always on the CPU: the order of Pillow's two rounded passes depends on its version and on the picture's
    shape, so no other implementation gives exactly the same result.
    """
    if batch.shape[1:3] == (side, side):
        return batch
    resized = torch.empty(len(batch), side, side, 3, dtype=torch.uint8)
    for target, one in zip(resized, batch.cpu(), strict=True):
        picture = Image.fromarray(one.numpy()).resize((side, side), Image.Resampling.BICUBIC)
        target.copy_(torch.from_numpy(np.array(picture)))
    return resized


def normalize(batch: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Map uint8 (B, S, S, 3) to the tower's input, float32 (B, 3, S, S); mean and std are (3, 1, 1)."""
    return batch.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)
