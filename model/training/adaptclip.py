"""Training AdaptCLIP: prompts, residual adapters, and the heads that compare with a normal picture.

Source: Gao et al., AdaptCLIP, 2025: cross entropy of all image logits, focal and Dice losses of all maps, one
random normal picture of the class beside each. The losses' own definitions are those of ``losses``.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.detectors.adaptclip import first_of_two_streams
from s2sw.model.detectors.tower_detector import taps_of
from s2sw.model.heads.prompt_query import ImageHead, LocalHead, ResidualAdapter, compared
from s2sw.model.heads.similarity import TAU
from s2sw.model.prompts.handwritten import NOUN, handwritten_features
from s2sw.model.towers.text import TextTower
from s2sw.model.training.losses import dice, focal
from s2sw.model.training.trainees import CONTEXT_STD, Batch, How, initial, leaves
from s2sw.model.training.visual import Pass
from s2sw.model.weights.adaptclip import (
    ADAPTERS,
    HEADS,
    PARTS,
    Learners,
    Shapes,
    query_shapes,
    released,
    textual_shapes,
    token_ids,
    visual_shapes,
)
from s2sw.model.weights.clip import ClipWeights

TAPS, REDUCTION, WIDE = 4, 4, 128
"""Published sizes: taps, the joint dimension beside that inside the adapters, and channels of the heads."""
STATISTICS = (".running_mean", ".running_var")
TOKENS = f"{PARTS[0]}.token"


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch norm that learns: on a batch's own statistics with gradients, otherwise on the stored ones."""

    weight: Tensor
    bias: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, named: Mapping[str, Tensor], name: str) -> "BatchNorm":
        """Take it from named parameters and buffers."""
        weight, bias, mean, variance = (
            named[f"{name}.{entry}"] for entry in ("weight", "bias", "running_mean", "running_var")
        )
        return cls(weight, bias, mean, variance)

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        return self.planes(x.reshape(-1, x.shape[-1])).reshape(x.shape)

    def planes(self, x: Tensor) -> Tensor:
        """Map (B, C, ...) to the same."""
        learning = torch.is_grad_enabled() and x.numel() > x.shape[1]  # one value has no variance
        return functional.batch_norm(x, self.mean, self.variance, self.weight, self.bias, learning)


class AdaptClipTrainee:
    """AdaptCLIP's three learners, by the names of its checkpoint, the part before each."""

    compares = True

    def __init__(self, tower: TextTower, begun: Learners, use: Pass, how: How) -> None:
        """The text tower stays as it is and moves to the device."""
        self.use, self._how, self._taps = use, how, begun.taps
        with torch.no_grad():
            static = handwritten_features(tower, (NOUN,))[NOUN]
        self.static = functional.normalize(static, dim=-1).to(how.device)
        self.tower = tower.to(how.device)
        parts = zip(PARTS, (begun.textual, begun.visual, begun.query), strict=True)
        named = {
            f"{part}.{n}": t.detach().clone().to(how.device) for part, own in parts for n, t in own.items()
        }
        self.words = {n: t for n, t in named.items() if n.startswith(TOKENS)}
        self.buffers = {n: t for n, t in named.items() if n.endswith(STATISTICS)}
        rest = {n: t for n, t in named.items() if n not in self.words and n not in self.buffers}
        self.parameters = leaves(rest, how.device)

    def learners(self) -> Learners:
        """Return the learners as they are, with gradient."""
        named = self.words | self.buffers | self.parameters
        textual, visual, query = (
            {n.removeprefix(f"{part}."): t for n, t in named.items() if n.startswith(f"{part}.")}
            for part in PARTS
        )
        return Learners(textual, visual, query, self._taps)

    def losses(self, batch: Batch, draw: random.Random) -> dict[str, Tensor]:
        """Return cross entropy of all image logits, focal and Dice losses of all maps, and their sum."""
        found = self.learners()
        images, maps = self._branches(found, batch)
        more_images, more_maps = self._comparison(found, batch)
        labels, masks = batch.labels.long(), batch.masks
        image = torch.stack([functional.cross_entropy(one, labels) for one in images + more_images]).sum()
        up = [functional.interpolate(m, size=masks.shape[-2:], mode="bilinear") for m in maps + more_maps]
        focals = torch.stack([focal(shares, masks) for shares in up]).sum()
        dices = torch.stack([dice(s[:, 1], masks) + dice(s[:, 0], 1 - masks) for s in up]).sum()
        return {"total": image + focals + dices, "image": image, "focal": focals, "dice": dices}

    def _branches(self, found: Learners, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Return image logits (B, 2) and class shares (B, 2, g, g) of the visual and the textual branch."""
        feature, patches = batch.features.image, batch.features.taps[-1]
        local, whole = (ResidualAdapter.of(found.visual, name, BatchNorm.of) for name in ADAPTERS)
        branches = (
            (whole(feature), local(patches), self.static),
            (feature, patches, self._text(found)),
        )
        images, maps = [], []
        for f, p, vectors in branches:
            images.append(functional.normalize(f, dim=-1) @ vectors.T / TAU)
            shares = (functional.normalize(p, dim=-1) @ vectors.T / TAU).softmax(dim=-1)
            maps.append(square(shares[:, 1:]))
        return images, maps

    def _text(self, found: Learners) -> Tensor:
        prompts, end = found.prompts()
        lower = self._how.precision == "bf16"
        with torch.autocast(self._how.device.type, torch.bfloat16, enabled=lower):
            features = self.tower(prompts, end.to(prompts.device))
        return functional.normalize(features.to(prompts.dtype), dim=-1)

    def _comparison(self, found: Learners, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
        """Return image logits (B, 2) and class shares (B, 2, 4 g, 4 g), of each tap, beside normal ones."""
        assert batch.beside is not None
        local = LocalHead.of(found.query, f"{HEADS[0]}.0", BatchNorm.of)
        whole = ImageHead.of(found.query, f"{HEADS[1]}.0", BatchNorm.of)
        images, maps = [], []
        for number, pair in enumerate(zip(batch.features.taps, batch.beside.taps, strict=True)):
            query, normal = (functional.normalize(tap[:, 1:], dim=-1) for tap in pair)
            row = (query @ normal.mT).argmax(dim=-1)
            near = torch.gather(normal, 1, row[..., None].expand(-1, -1, normal.shape[-1]))
            z = BatchNorm.of(found.query, f"sharebn.{number}")(compared(query, near, context=True))
            images.append(whole.logits(z))
            share = local(square(z))
            maps.append(torch.stack([1 - share, share], dim=1))
        return images, maps

    def options(self) -> dict[str, Any]:
        """Return the bundle's options."""
        found = self.learners()
        textual, visual, query = (
            {name: tensor.detach().cpu() for name, tensor in own.items()}
            for own in (found.textual, found.visual, found.query)
        )
        return {"checkpoint": Learners(textual, visual, query, self._taps)}

    def checkpoint(self) -> dict[str, Tensor]:
        """Return the released form, the part before each name."""
        return {n: t.detach() for n, t in released(self.learners(), self.tower.shape.context).items()}


def square(values: Tensor) -> Tensor:
    """Return (B, g * g, C) as (B, C, g, g)."""
    grid = round(values.shape[1] ** 0.5)
    return values.mT.reshape(len(values), -1, grid, grid)


def adaptclip_trainee(clip: ClipWeights, begun: Learners, how: How) -> AdaptClipTrainee:
    """Return AdaptCLIP's trainee: two streams and taps as in its bundles."""
    layers = clip.vision.layers
    start = first_of_two_streams(layers, begun.taps)
    use = Pass("bilinear", start, taps_of(None, begun.taps, start, layers))
    return AdaptClipTrainee(clip.text_tower(), begun, use, how)


def drawn(clip: ClipWeights, contexts: int, seed: int) -> Learners:
    """Draw learners of the published sizes from a seed, spread as torch's own layers are."""
    generator, joint = torch.Generator().manual_seed(seed), clip.vision.embed_dim

    def draw(shapes: Shapes) -> dict[str, Tensor]:
        return {name: _begun(name, shape, generator) for name, shape in shapes.items()}

    textual = draw(textual_shapes(contexts, clip.text))
    words = clip.tensors["token_embedding.weight"][token_ids(contexts, clip.text.context)[0]][None, None]
    for name in textual:
        if name.startswith("token_"):
            textual[name] = words[:, :, :1] if "prefix" in name else words[:, :, 1 + contexts :]
    hidden = max(1, joint // REDUCTION)
    return Learners(textual, draw(visual_shapes(hidden, joint)), draw(query_shapes(WIDE, joint, TAPS)), TAPS)


def _begun(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name.startswith("ctx"):
        return initial(shape, CONTEXT_STD, generator)
    if len(shape) > 1:
        return initial(shape, (3 * prod(shape[1:])) ** -0.5, generator)
    return torch.zeros(shape) if name.endswith(("bias", "running_mean")) else torch.ones(shape)
