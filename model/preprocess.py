"""From pictures to the detector's input: Pillow's antialiased bicubic squash, then CLIP's normalisation."""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Colour = tuple[float, float, float]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

FRACTION_BITS = 22
"""Pillow resamples 8-bit images in fixed point with 32 - 8 - 2 fractional bits."""

Pictures = NDArray[np.uint8] | Tensor


def as_batch(images: Pictures) -> Tensor:
    """Return pictures as a uint8 tensor (B, H, W, 3); raise ValueError for any other kind of array."""
    batch = torch.from_numpy(np.ascontiguousarray(images)) if isinstance(images, np.ndarray) else images
    if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[-1] != 3 or 0 in batch.shape[1:]:
        raise ValueError(
            f"images: {batch.dtype} {tuple(batch.shape)} given; the detector takes uint8 (B, H, W, 3)"
        )
    return batch


def squash(batch: Tensor, side: int) -> Tensor:
    """Resize uint8 (B, H, W, 3) to (B, side, side, 3), aspect not kept, as Pillow's BICUBIC does."""
    if batch.shape[1:3] == (side, side):
        return batch
    if batch.device.type == "cpu":
        resized = [
            np.asarray(Image.fromarray(one.numpy()).resize((side, side), Image.Resampling.BICUBIC))
            for one in batch
        ]
        return torch.from_numpy(np.stack(resized)) if resized else batch.new_empty(0, side, side, 3)
    return squash_on_device(batch, side)


def squash_on_device(batch: Tensor, side: int) -> Tensor:
    """Do what Pillow's BICUBIC does as two exact matrix products, where the batch lies.

    Pillow's fixed-point sums stay below 2^53, so float64 holds them exactly; columns go first, and both
    passes round to 8 bits.
    """
    _, rows, cols, _ = batch.shape
    across = torch.from_numpy(bicubic_weights(cols, side)).to(batch.device)
    down = torch.from_numpy(bicubic_weights(rows, side)).to(batch.device)
    x = batch.permute(0, 3, 1, 2).double()
    x = _to_8_bits(x @ across.T)
    x = _to_8_bits(down @ x)
    return x.to(torch.uint8).permute(0, 2, 3, 1)


def _to_8_bits(x: Tensor) -> Tensor:
    return torch.floor((x + (1 << (FRACTION_BITS - 1))) / (1 << FRACTION_BITS)).clamp_(0, 255)


@lru_cache(maxsize=16)
def bicubic_weights(source: int, target: int) -> NDArray[np.float64]:
    """Return Pillow's bicubic weights (target, source) as whole numbers in units of 2^-22."""
    scale = source / target
    stretch = max(scale, 1.0)
    support = 2.0 * stretch
    weights = np.zeros((target, source))
    for row in range(target):
        centre = (row + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), source)
        taps = np.array([_cubic((i - centre + 0.5) / stretch) for i in range(first, last)])
        weights[row, first:last] = taps / taps.sum()
    fixed = weights * (1 << FRACTION_BITS)
    return np.trunc(fixed + np.where(fixed < 0, -0.5, 0.5))


def _cubic(x: float) -> float:
    """Evaluate the cubic convolution kernel with a = -0.5, as Pillow does."""
    x = math.fabs(x)
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * -0.5 if x < 2 else 0.0


def normalize(batch: Tensor, mean: Colour = MEAN, std: Colour = STD) -> Tensor:
    """Map uint8 (B, S, S, 3) to CLIP's normalised input, float32 (B, 3, S, S)."""
    x = batch.permute(0, 3, 1, 2).float().div_(255)
    return x.sub_(x.new_tensor(mean).view(3, 1, 1)).div_(x.new_tensor(std).view(3, 1, 1))
