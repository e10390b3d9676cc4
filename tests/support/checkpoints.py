"""Checkpoints of the released form, with random values, for a CLIP of any size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from s2sw.model.weights.clip import ClipWeights

Change = Callable[[dict[str, Any]], object]


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


def aa_clip_image(
    clip: ClipWeights, blocks: int = 2, levels: int = 4, relu: bool = True, seed: int = 1
) -> dict[str, Any]:
    draw, joint, width = Draw(seed), clip.vision.embed_dim, clip.vision.width
    fc = "fc.0" if relu else "fc"
    adapter = {f"layer_adapters.{n}.fc.0.weight": draw(width, width) for n in range(blocks)}
    adapter |= {f"seg_proj.{level}.{fc}.weight": draw(joint, width) for level in range(levels)}
    adapter[f"det_proj.{fc}.weight"] = draw(joint, width)
    return {"epoch": 1, "image_adapter": adapter, "image_optimizer": {}}


def aa_clip_text(clip: ClipWeights, blocks: int = 1, seed: int = 2) -> dict[str, Any]:
    draw, joint, width = Draw(seed), clip.text.embed_dim, clip.text.width
    adapter = {f"{n}.fc.0.weight": draw(width, width) for n in range(blocks)}
    adapter[f"{blocks}.fc.0.weight"] = draw(joint, width)
    return {"epoch": 1, "text_adapter": adapter, "text_optimizer": {"state": {0: {"step": 3.0}}}}


def changed(path: Path, folder: Path, change: Change) -> Path:
    """Write a changed copy of a checkpoint, under its own name."""
    found = torch.load(path, weights_only=True)
    change(found)
    torch.save(found, folder / path.name)
    return folder / path.name


def af_clip_adaptor(clip: ClipWeights, seed: int = 1) -> dict[str, torch.Tensor]:
    draw, width = Draw(seed), clip.vision.width
    found = {"attention.norm.weight": 1 + draw(width) / 9, "attention.norm.bias": draw(width) / 9}
    found |= {f"attention.attn.to_{letter}.weight": draw(512, width) for letter in "qkv"}
    return found | {
        "attention.attn.to_out.0.weight": draw(width, 512),
        "attention.attn.to_out.0.bias": draw(width),
    }


def af_clip_prompt(clip: ClipWeights, count: int = 5, seed: int = 2) -> torch.Tensor:
    return Draw(seed)(1, count, clip.text.width)


def drop(part: str, key: str) -> Change:
    """Leave an entry of a part out."""
    return lambda found: found[part].pop(key)


def put(part: str, key: str, value: Any) -> Change:
    """Add or replace an entry of a part."""
    return lambda found: found[part].update({key: value})


def saved(found: Any, path: Path) -> Path:
    torch.save(found, path)
    return path
