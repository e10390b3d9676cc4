"""AdaptCLIP's released checkpoint: three learners, each a state dict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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

Shapes = dict[str, Shape]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Learners:
    """What a checkpoint holds, by its own names, without counters; of each head one copy, ``*_adapter.0``.

    taps: how many taps it was trained with.
    """

    textual: Mapping[str, Tensor]
    visual: Mapping[str, Tensor]
    query: Mapping[str, Tensor]
    taps: int

    def prompts(self) -> tuple[Tensor, Tensor]:
        """Return the embedded prompts (2, context, T), normal and anomalous, and [EOT]'s positions (2,)."""
        names = ("token_prefix", "ctx", "token_suffix")
        both = [torch.cat([self.textual[f"{name}_{p}"][0, 0] for name in names]) for p in POLARITIES]
        end = self.textual["ctx_pos"].shape[2] + 2
        return torch.stack(both), torch.tensor([end, end])


def textual_shapes(contexts: int, text: TextShape) -> Shapes:
    """Return the shapes of the prompts' parts; tokenized prompts left out."""
    rows = {"ctx": contexts, "token_prefix": 1, "token_suffix": text.context - 1 - contexts}
    return {f"{name}_{p}": (1, 1, number, text.width) for name, number in rows.items() for p in POLARITIES}


def visual_shapes(hidden: int, joint: int) -> Shapes:
    """Return the shapes of both residual adapters."""
    shapes: Shapes = {}
    for name in ADAPTERS:
        shapes |= {f"{name}.fc.0.weight": (hidden, joint), f"{name}.fc.3.weight": (joint, hidden)}
        shapes |= norm_shapes(f"{name}.fc.1", hidden)
    return shapes


def query_shapes(wide: int, joint: int, taps: int) -> Shapes:
    """Return the shapes of one copy of both heads and of the taps' batch norms."""
    narrow, (local, whole) = wide // 2, (f"{head}.0" for head in HEADS)
    shapes: Shapes = {
        f"{local}.0.weight": (wide, joint, 3, 3),
        f"{local}.3.weight": (wide, wide, 2, 2),
        f"{local}.3.bias": (wide,),
        f"{local}.4.weight": (narrow, wide, 3, 3),
        f"{local}.7.weight": (narrow, narrow, 2, 2),
        f"{local}.7.bias": (narrow,),
        f"{local}.8.weight": (2, narrow, 1, 1),
        f"{local}.8.bias": (2,),
        f"{whole}.0.weight": (wide, joint),
        f"{whole}.3.weight": (narrow, wide),
        f"{whole}.6.weight": (2, narrow),
    }
    shapes |= norm_shapes(f"{local}.1", wide) | norm_shapes(f"{local}.5", narrow)
    shapes |= norm_shapes(f"{whole}.1", wide) | norm_shapes(f"{whole}.4", narrow)
    for tap in range(taps):
        shapes |= norm_shapes(f"sharebn.{tap}", joint)
    return shapes


def norm_shapes(name: str, channels: int) -> Shapes:
    """Return the shapes of a batch norm; its counter left out."""
    return {f"{name}.{entry}": (channels,) for entry in ("weight", "bias", "running_mean", "running_var")}


def token_ids(contexts: int, context: int) -> Tensor:
    """Return the tokens that stand for a prompt of so many learned vectors, int64 (1, context)."""
    return tokens([" ".join(["x"] * contexts) + "."], context)


def read_adaptclip(path: Path, text: TextShape, joint: int) -> Learners:
    """Read a checkpoint for a CLIP of this text tower and joint dimension. Raises BundleError."""
    parts = read_parts(path, "adaptclip", PARTS)
    textual = _textual(parts["textual_learner"], text)
    query, taps = _query(parts["pq_learner"], joint)
    hidden = parts["visual_learner"].shape(f"{ADAPTERS[0]}.fc.0.weight", 2)[0]
    return Learners(textual, _checked(parts["visual_learner"], visual_shapes(hidden, joint)), query, taps)


def _textual(part: Part, text: TextShape) -> dict[str, Tensor]:
    count = part.shape("ctx_pos", 4)[2]
    ids = [f"tokenized_prompts_{polarity}" for polarity in POLARITIES]
    shapes = textual_shapes(count, text) | dict.fromkeys(ids, (1, 1, text.context))
    found = part.exactly(shapes, ids)
    for name in ids:
        if not torch.equal(found.pop(name)[0].long(), token_ids(count, text.context)):
            part.refuse(name, f"is not [SOT], {count} times 'x', '.', [EOT]")
    return found


def _query(part: Part, joint: int) -> tuple[dict[str, Tensor], int]:
    taps = part.count("sharebn.", ".weight")
    wide = part.shape("local_adapter.0.0.weight", 4)[0]
    found = _checked(part, _with_copies(query_shapes(wide, joint, taps), taps))
    for name in [name for name in found if name.startswith(HEADS)]:
        head, copy, rest = name.split(".", 2)
        first = f"{head}.0.{rest}"
        if copy != "0" and not torch.equal(found.pop(name), found[first]):
            part.refuse(name, f"differs from {first!r}, of which it is a copy")
    return found, taps


def _with_copies(named: Mapping[str, Value], taps: int) -> dict[str, Value]:
    """Return the same with every head once for each tap."""
    copied: dict[str, Value] = {}
    for name, value in named.items():
        head, _, rest = name.partition(".0.")
        copies = [f"{head}.{tap}.{rest}" for tap in range(taps)] if head in HEADS else [name]
        copied |= dict.fromkeys(copies, value)
    return copied


def _checked(part: Part, shapes: Shapes) -> dict[str, Tensor]:
    counters = [_counter(name) for name in shapes if name.endswith(".running_var")]
    found = part.exactly(shapes | dict.fromkeys(counters, ()), counters)
    for name, tensor in found.items():
        if name.endswith(".running_var") and (tensor < 0).any():
            part.refuse(name, "has negative values, where variances are needed")
    return {name: tensor for name, tensor in found.items() if not name.endswith(COUNTER)}


def _counter(running_var: str) -> str:
    return running_var.removesuffix("running_var") + COUNTER


def released(learners: Learners, context: int) -> dict[str, Tensor]:
    """Return learners as a checkpoint holds them, each name behind its part's; context: of the text tower."""
    ids = token_ids(learners.textual["ctx_pos"].shape[2], context).int()[None]
    textual = dict(learners.textual) | {f"tokenized_prompts_{p}": ids.clone() for p in POLARITIES}
    parts = (textual, learners.visual, _with_copies(learners.query, learners.taps))
    named = {f"{part}.{n}": t.clone() for part, own in zip(PARTS, parts, strict=True) for n, t in own.items()}
    counters = [_counter(name) for name in named if name.endswith(".running_var")]
    return named | {name: torch.zeros((), dtype=torch.int64) for name in counters}
