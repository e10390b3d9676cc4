"""Checkpoints of the released form, with random values, for a CLIP of any size."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from s2sw.model.towers.tokenizer import tokens
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


def adaptclip(
    clip: ClipWeights, taps: int = 4, contexts: int = 5, hidden: int = 6, wide: int = 8, seed: int = 1
) -> dict[str, Any]:
    draw, joint, width, narrow = Draw(seed), clip.vision.embed_dim, clip.text.width, wide // 2
    ids = tokens([" ".join(["x"] * contexts) + "."], clip.text.context)
    words = clip.tensors["token_embedding.weight"][ids[0]]
    textual: dict[str, torch.Tensor] = {}
    for polarity in ("pos", "neg"):
        textual[f"ctx_{polarity}"] = draw(1, 1, contexts, width)
        textual[f"token_prefix_{polarity}"] = words[:1][None, None]
        textual[f"token_suffix_{polarity}"] = words[1 + contexts :][None, None]
        textual[f"tokenized_prompts_{polarity}"] = ids.int()[None]

    def norm(name: str, channels: int) -> dict[str, torch.Tensor]:
        return {
            f"{name}.weight": 1 + draw(channels) / 9,
            f"{name}.bias": draw(channels) / 9,
            f"{name}.running_mean": draw(channels) / 99,
            f"{name}.running_var": draw(channels).abs() + 0.1,
            f"{name}.num_batches_tracked": torch.tensor(7),
        }

    visual: dict[str, torch.Tensor] = {}
    for name in ("local_adater", "global_adapter"):
        visual[f"{name}.fc.0.weight"], visual[f"{name}.fc.3.weight"] = (
            draw(hidden, joint),
            draw(joint, hidden),
        )
        visual |= norm(f"{name}.fc.1", hidden)
    local = {
        "0.weight": draw(wide, joint, 3, 3), "3.weight": draw(wide, wide, 2, 2), "3.bias": draw(wide),
        "4.weight": draw(narrow, wide, 3, 3), "7.weight": draw(narrow, narrow, 2, 2), "7.bias": draw(narrow),
        "8.weight": draw(2, narrow, 1, 1), "8.bias": draw(2),
    } | norm("1", wide) | norm("5", narrow)  # fmt: skip
    whole = {"0.weight": draw(wide, joint), "3.weight": draw(narrow, wide), "6.weight": draw(2, narrow)}
    whole |= norm("1", wide) | norm("4", narrow)
    query: dict[str, torch.Tensor] = {}
    for tap in range(taps):
        query |= norm(f"sharebn.{tap}", joint)
        query |= {f"local_adapter.{tap}.{name}": tensor for name, tensor in local.items()}
        query |= {f"global_adapter.{tap}.{name}": tensor for name, tensor in whole.items()}
    return {"textual_learner": textual, "visual_learner": visual, "pq_learner": query}


def drop(part: str, key: str) -> Change:
    """Leave an entry of a part out."""
    return lambda found: found[part].pop(key)


def put(part: str, key: str, value: Any) -> Change:
    """Add or replace an entry of a part."""
    return lambda found: found[part].update({key: value})


def saved(found: Any, path: Path) -> Path:
    torch.save(found, path)
    return path
