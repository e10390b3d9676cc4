"""AdaptCLIP's released checkpoint: three learners, each a state dict."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from s2sw.model.towers.shapes import TextShape
from s2sw.model.towers.tokenizer import tokens
from s2sw.model.weights.released import Part, Shape, read_parts

PARTS = ("textual_learner", "visual_learner", "pq_learner")
POLARITIES = ("pos", "neg")
"""Normal and anomalous, as the checkpoint names them."""
ADAPTERS = ("local_adater", "global_adapter")
"""The visual learner's adapters; the first is misspelt in the checkpoint."""
HEADS = ("local_adapter", "global_adapter")
"""The heads of the prompt-query learner, each listed once for every tap."""
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Learners:
    """What a checkpoint holds, by its own names; of each head one copy, ``local_adapter.0.*``.

    taps: how many taps it was trained with.
    """

    textual: dict[str, Tensor]
    visual: dict[str, Tensor]
    query: dict[str, Tensor]
    taps: int

    def prompts(self) -> tuple[Tensor, Tensor]:
        """Return the embedded prompts (2, context, T), normal and anomalous, and [EOT]'s positions (2,)."""
        names = ("token_prefix", "ctx", "token_suffix")
        both = [torch.cat([self.textual[f"{name}_{p}"][0, 0] for name in names]) for p in POLARITIES]
        end = self.textual["ctx_pos"].shape[2] + 2
        return torch.stack(both), torch.tensor([end, end])


def read_adaptclip(path: Path, text: TextShape, joint: int) -> Learners:
    """Read a checkpoint for a CLIP of this text tower and joint dimension. Raises BundleError."""
    parts = read_parts(path, "adaptclip", PARTS)
    query, taps = _query(parts["pq_learner"], joint)
    return Learners(
        _textual(parts["textual_learner"], text), _visual(parts["visual_learner"], joint), query, taps
    )


def _textual(part: Part, text: TextShape) -> dict[str, Tensor]:
    count = part.shape("ctx_pos", 4)[2]
    rows = {"ctx": count, "token_prefix": 1, "token_suffix": text.context - 1 - count}
    shapes: dict[str, Shape] = {
        f"{name}_{polarity}": (1, 1, number, text.width)
        for name, number in rows.items()
        for polarity in POLARITIES
    }
    ids = [f"tokenized_prompts_{polarity}" for polarity in POLARITIES]
    found = part.exactly(shapes | dict.fromkeys(ids, (1, 1, text.context)), ids)
    expected = tokens([" ".join(["x"] * count) + "."], text.context)[0]
    for name in ids:
        if not torch.equal(found[name].flatten().long(), expected):
            part.refuse(name, f"is not [SOT], {count} times 'x', '.', [EOT]")
    return found


def _visual(part: Part, joint: int) -> dict[str, Tensor]:
    hidden = part.shape(f"{ADAPTERS[0]}.fc.0.weight", 2)[0]
    shapes: dict[str, Shape] = {}
    for name in ADAPTERS:
        shapes |= {f"{name}.fc.0.weight": (hidden, joint), f"{name}.fc.3.weight": (joint, hidden)}
        shapes |= _norm(f"{name}.fc.1", hidden)
    return _checked(part, shapes)


def _query(part: Part, joint: int) -> tuple[dict[str, Tensor], int]:
    taps = part.count("sharebn.", ".weight")
    heads = _heads(joint, part.shape("local_adapter.0.0.weight", 4)[0])
    shapes: dict[str, Shape] = {}
    for tap in range(taps):
        shapes |= _norm(f"sharebn.{tap}", joint)
        for head, layers in heads.items():
            shapes |= {f"{head}.{tap}.{name}": shape for name, shape in layers.items()}
    found = _checked(part, shapes)
    for name in [name for name in found if name.startswith(HEADS)]:
        head, copy, rest = name.split(".", 2)
        first = f"{head}.0.{rest}"
        if copy != "0" and not torch.equal(found.pop(name), found[first]):
            part.refuse(name, f"differs from {first!r}, of which it is a copy")
    return found, taps


def _heads(joint: int, wide: int) -> dict[str, dict[str, Shape]]:
    """Return the shapes of both heads, from joint channels over wide and half as many to two."""
    narrow = wide // 2
    local: dict[str, Shape] = {
        "0.weight": (wide, joint, 3, 3),
        "3.weight": (wide, wide, 2, 2),
        "3.bias": (wide,),
        "4.weight": (narrow, wide, 3, 3),
        "7.weight": (narrow, narrow, 2, 2),
        "7.bias": (narrow,),
        "8.weight": (2, narrow, 1, 1),
        "8.bias": (2,),
    }
    whole: dict[str, Shape] = {"0.weight": (wide, joint), "3.weight": (narrow, wide), "6.weight": (2, narrow)}
    local |= _norm("1", wide) | _norm("5", narrow)
    whole |= _norm("1", wide) | _norm("4", narrow)
    return dict(zip(HEADS, (local, whole), strict=True))


def _norm(name: str, channels: int) -> dict[str, Shape]:
    every = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{entry}": (channels,) for entry in every} | {f"{name}.{COUNTER}": ()}


def _checked(part: Part, shapes: dict[str, Shape]) -> dict[str, Tensor]:
    found = part.exactly(shapes, [name for name in shapes if name.endswith(COUNTER)])
    for name, tensor in found.items():
        if name.endswith("running_var") and (tensor < 0).any():
            part.refuse(name, "has negative values, where variances are needed")
    return {name: tensor for name, tensor in found.items() if not name.endswith(COUNTER)}
