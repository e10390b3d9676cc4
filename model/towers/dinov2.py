"""DINOv2's vision transformer: pictures to patch tokens after any of its blocks.

Source: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023, and Darcet et al.,
"Vision Transformers Need Registers", 2023. Layer scales are folded into the products before them.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.errors import BundleError
from s2sw.model.towers.blocks import Blocks, count_blocks
from s2sw.model.towers.patches import cut, resize_positions
from s2sw.model.towers.shapes import Dinov2Shape

EPSILON = 1e-6
"""Of its layer norms."""
HEAD = 64
"""Channels of an attention head, in every published size."""


class Dinov2(nn.Module):
    """The transformer over a fixed grid of patches; parameters are named as in VisionTower."""

    def __init__(self, shape: Dinov2Shape) -> None:
        super().__init__()
        self.shape = shape
        self.conv1 = nn.Conv2d(3, shape.width, shape.patch, stride=shape.patch)
        self.class_embedding = nn.Parameter(torch.empty(shape.width))
        self.positional_embedding = nn.Parameter(torch.empty(shape.grid**2 + 1, shape.width))
        self.register_tokens = nn.Parameter(torch.empty(shape.registers, shape.width))
        self.transformer = Blocks(shape.width, shape.heads, shape.layers, "gelu", EPSILON)

    def fit_grid(self, grid: int) -> None:
        """Resize the positions once, so that every later picture of grid * grid patches fits."""
        resized = resize_positions(self.positional_embedding.detach(), grid, "bicubic_plain")
        self.positional_embedding = nn.Parameter(resized, requires_grad=False)

    def embed(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to tokens (B, 1 + registers + N, width), class token first."""
        patches = cut(images.to(self.conv1.weight.dtype), self.shape.patch)
        # a product, not a convolution: cuDNN would round float32 to TF32
        tokens = functional.linear(patches, self.conv1.weight.flatten(1), self.conv1.bias)
        tokens = tokens + self.positional_embedding[1:]
        first = torch.cat([(self.class_embedding + self.positional_embedding[0])[None], self.register_tokens])
        return torch.cat([first.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], dim=1)

    def patches(self, images: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """Return patch tokens (B, N, width) after the 1-based blocks in taps, which rise; no norm follows."""
        x, kept = self.embed(images), []
        for number, block in enumerate(self.transformer, 1):
            x = block(x)
            if number in taps:
                kept.append(x[:, 1 + self.shape.registers :])
            if number == taps[-1]:
                break
        return kept


def dinov2_shape(tensors: Mapping[str, Tensor], prefix: str, source: str) -> Dinov2Shape:
    """Read the shape off a state dict in our naming; BundleError names a tensor that is missing."""
    try:
        width, _, patch, _ = tensors[f"{prefix}conv1.weight"].shape
        positions = len(tensors[f"{prefix}positional_embedding"])
        registers = len(tensors[f"{prefix}register_tokens"])
    except KeyError as error:
        raise BundleError(f"{source}: tensor {error.args[0]!r} is missing; the file is cut") from None
    layers = count_blocks(tensors, f"{prefix}transformer.resblocks.", source)
    return Dinov2Shape(width, layers, width // HEAD, patch, math.isqrt(positions - 1), registers)
