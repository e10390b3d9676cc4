"""Checkpoints of the released form, with random values, for a CLIP of any size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from s2sw.model.weights.clip import ClipWeights


class Draw:
    """Random tensors from a seed, scaled so that what goes through them keeps its size."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> torch.Tensor:
        fan = 1
        for size in shape[1:]:
            fan *= size
        return torch.randn(*shape, generator=self.generator) * fan**-0.5


def mvfa(clip: ClipWeights, levels: int = 4, seed: int = 1) -> dict[str, Any]:
    draw, joint, width = Draw(seed), clip.vision.embed_dim, clip.vision.width
    return {
        part: {
            name: tensor
            for level in range(levels)
            for name, tensor in (
                (f"{level}.fc1.0.weight", draw(joint, width)),
                (f"{level}.fc2.0.weight", draw(width, joint)),
            )
        }
        for part in ("seg_adapters", "det_adapters")
    }


def changed(path: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write a changed copy of a checkpoint, under its own name."""
    found = torch.load(path, weights_only=True)
    change(found)
    torch.save(found, folder / path.name)
    return folder / path.name


def saved(found: Any, path: Path) -> Path:
    torch.save(found, path)
    return path
