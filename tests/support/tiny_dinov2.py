"""A small DINOv2 with weights from a seed: to test with, never to judge by."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from s2sw.model import build_bundle
from s2sw.model.towers.dinov2 import Dinov2
from s2sw.model.towers.shapes import Dinov2Shape
from s2sw.model.weights.dinov2 import Dinov2Weights

WIDTH, LAYERS, GRID = 128, 4, 6


def tiny_dinov2(registers: int = 0, seed: int = 0) -> Dinov2Weights:
    """Return random weights; the norms are not far from doing nothing."""
    shape = Dinov2Shape(WIDTH, LAYERS, WIDTH // 64, 14, GRID, registers)
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(tensor.shape, generator=generator) * 0.1 + (".ln_" in name and "weight" in name)
        for name, tensor in Dinov2(shape).state_dict().items()
    }
    norm = {"ln_post.weight": torch.full((WIDTH,), 2.0), "ln_post.bias": torch.full((WIDTH,), 0.5)}
    return Dinov2Weights(tensors | norm, shape, "tiny")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of them, for pictures of 70 pixels."""
    folder = tmp_path_factory.mktemp("tiny") / "dino"
    return build_bundle(folder, detector="dino", stem=tiny_dinov2(), image_size=70)


def save_original(weights: Dinov2Weights, path: Path) -> None:
    """Write the weights in the naming of the authors' own files, to safetensors."""
    ours = weights.tensors
    theirs = {
        "cls_token": ours["class_embedding"].view(1, 1, -1),
        "pos_embed": ours["positional_embedding"][None],
        "patch_embed.proj.weight": ours["conv1.weight"],
        "patch_embed.proj.bias": ours["conv1.bias"],
        "norm.weight": ours["ln_post.weight"],
        "norm.bias": ours["ln_post.bias"],
    }
    parts = {
        "norm1": "ln_1.",
        "norm2": "ln_2.",
        "attn.qkv": "attn.in_proj_",
        "attn.proj": "attn.out_proj.",
        "mlp.fc1": "mlp.c_fc.",
        "mlp.fc2": "mlp.c_proj.",
    }
    for layer in range(weights.shape.layers):
        for name, own in parts.items():
            for kind in ("weight", "bias"):
                theirs[f"blocks.{layer}.{name}.{kind}"] = ours[f"transformer.resblocks.{layer}.{own}{kind}"]
    save_file({name: tensor.contiguous() for name, tensor in theirs.items()}, path)
