"""A CLIP of any shape with random weights from a seed: to try, test and measure with, never to judge by."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s2sw.model.towers.tokenizer import END
from s2sw.model.weights.clip import ClipWeights, clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions

CONTEXT = 77


@dataclass(frozen=True, slots=True)
class Shape:
    """Both towers' shapes; grid is the side of the positional grid, joint the joint dimension."""

    width: int
    layers: int
    patch: int
    grid: int
    joint: int
    text_width: int
    text_layers: int


VIT_L_14_336 = Shape(1024, 24, 14, 24, 768, 64, 2)
"""The visual tower of ViT-L/14@336; the text tower is small, since no time is measured in it."""


def untrained_clip(shape: Shape, seed: int) -> ClipWeights:
    """Return random weights, the same ones for a seed on every machine and with every release of NumPy."""
    draw = _Draw(np.random.RandomState(seed))
    draw.normal("visual.class_embedding", shape.width, std=0.5)
    draw.normal("visual.positional_embedding", shape.grid**2 + 1, shape.width, std=0.1)
    pixels = 3 * shape.patch**2
    draw.normal("visual.conv1.weight", shape.width, 3, shape.patch, shape.patch, std=pixels**-0.5)
    draw.normal("visual.proj", shape.width, shape.joint, std=shape.width**-0.5)
    draw.norm("visual.ln_pre", shape.width)
    draw.norm("visual.ln_post", shape.width)
    draw.blocks("visual.", shape.width, shape.layers)
    draw.normal("token_embedding.weight", END + 1, shape.text_width, std=0.3)
    draw.normal("positional_embedding", CONTEXT, shape.text_width, std=0.3)
    draw.normal("text_projection", shape.text_width, shape.joint, std=shape.text_width**-0.5)
    draw.norm("ln_final", shape.text_width)
    draw.blocks("", shape.text_width, shape.text_layers)
    return clip_from_tensors(draw.tensors, "untrained weights from a seed", LoadOptions("quick_gelu"))


class _Draw:
    def __init__(self, rng: np.random.RandomState) -> None:
        self.rng = rng
        self.tensors: dict[str, Tensor] = {}

    def normal(self, name: str, *shape: int, std: float) -> None:
        self.tensors[name] = torch.from_numpy((self.rng.standard_normal(shape) * std).astype(np.float32))

    def norm(self, name: str, width: int) -> None:
        self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"] = torch.ones(width), torch.zeros(width)

    def blocks(self, prefix: str, width: int, layers: int) -> None:
        for at in (f"{prefix}transformer.resblocks.{i}." for i in range(layers)):
            for part, rows, cols in (
                ("attn.in_proj_", 3 * width, width),
                ("attn.out_proj.", width, width),
                ("mlp.c_fc.", 4 * width, width),
                ("mlp.c_proj.", width, 4 * width),
            ):
                self.normal(f"{at}{part}weight", rows, cols, std=cols**-0.5)
                self.normal(f"{at}{part}bias", rows, std=0.02)
            self.norm(f"{at}ln_1", width)
            self.norm(f"{at}ln_2", width)
