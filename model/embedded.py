"""The embedded bundle: a small detector that needs no download. Its weights are random for now."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.bundle import build_bundle
from model.hints import Hints
from model.record import RECORD, read_record
from model.weights import ClipWeights, clip_from_tensors
from model.words import END

SEED = 20240607
WIDTH, LAYERS, PATCH, GRID, JOINT = 256, 12, 16, 15, 256
TEXT_WIDTH, TEXT_LAYERS, CONTEXT = 64, 4, 77
VERSION = "untrained-1"
"""Changed whenever the embedded weights change, so that a cache never serves old ones."""


def embedded_bundle(cache_dir: Path) -> Path:
    """Return the folder of the embedded bundle, building it in cache_dir once, atomically."""
    out = Path(cache_dir) / f"embedded-{VERSION}"
    if (out / RECORD).is_file():
        read_record(out)
        return out
    build = out.with_name(f"{out.name}-{os.getpid()}")
    build_bundle(build, untrained_clip(), image_size=PATCH * GRID, prompts="handwritten", trained=False)
    try:
        build.rename(out)
    except OSError:  # another process was first; both builds are the same
        read_record(out)
    return out


def untrained_clip() -> ClipWeights:
    """Return a small ViT CLIP with random weights from a fixed seed: 9.7 M visual parameters."""
    rng = np.random.RandomState(SEED)
    tensors: dict[str, Tensor] = {}

    def normal(name: str, *shape: int, std: float) -> None:
        tensors[name] = torch.from_numpy((rng.standard_normal(shape) * std).astype(np.float32))

    def norm(name: str, width: int) -> None:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = torch.ones(width), torch.zeros(width)

    def blocks(prefix: str, width: int, layers: int) -> None:
        for at in (f"{prefix}transformer.resblocks.{i}." for i in range(layers)):
            for part, rows, cols in (
                ("attn.in_proj_", 3 * width, width),
                ("attn.out_proj.", width, width),
                ("mlp.c_fc.", 4 * width, width),
                ("mlp.c_proj.", width, 4 * width),
            ):
                normal(f"{at}{part}weight", rows, cols, std=cols**-0.5)
                normal(f"{at}{part}bias", rows, std=0.02)
            norm(f"{at}ln_1", width)
            norm(f"{at}ln_2", width)

    normal("visual.class_embedding", WIDTH, std=0.5)
    normal("visual.positional_embedding", GRID * GRID + 1, WIDTH, std=0.1)
    normal("visual.conv1.weight", WIDTH, 3, PATCH, PATCH, std=(3 * PATCH * PATCH) ** -0.5)
    normal("visual.proj", WIDTH, JOINT, std=WIDTH**-0.5)
    norm("visual.ln_pre", WIDTH)
    norm("visual.ln_post", WIDTH)
    blocks("visual.", WIDTH, LAYERS)
    normal("token_embedding.weight", END + 1, TEXT_WIDTH, std=0.3)
    normal("positional_embedding", CONTEXT, TEXT_WIDTH, std=0.3)
    normal("text_projection", TEXT_WIDTH, JOINT, std=TEXT_WIDTH**-0.5)
    norm("ln_final", TEXT_WIDTH)
    blocks("", TEXT_WIDTH, TEXT_LAYERS)
    return clip_from_tensors(tensors, "untrained weights from a seed", Hints("quick_gelu"))
