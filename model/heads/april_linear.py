"""The learned part of APRIL-GAN: a linear layer for each tap, from block outputs to the joint space."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.errors import BundleError
from s2sw.model.weights.released import looks_like
from s2sw.model.weights.tensors import read_tensors

SCALE = 100.0
"""CLIP's logit scale, as the released program fixes it."""


@dataclass(frozen=True, slots=True)
class LinearLayers:
    """weight (taps, C, width), bias (taps, C)."""

    weight: Tensor
    bias: Tensor

    def logits(self, taps: Sequence[Tensor], vectors: Tensor) -> list[Tensor]:
        """Return each tap's logits (B, 2, g, g), normal and anomalous. Differentiable.

        taps: raw block outputs (B, 1 + g * g, width), class token first. vectors: L2-normalised, (2, C) for
        all pictures or (B, 2, C). A tap's map is the softmax of these, after upsampling them with
        align_corners=True.
        """
        layers = zip(taps, self.weight, self.bias, strict=True)
        patches = [functional.linear(tap[:, 1:].float(), w, b) for tap, w, b in layers]
        return [_squares(SCALE * functional.normalize(p, dim=-1) @ vectors.mT) for p in patches]


def _squares(values: Tensor) -> Tensor:
    grid = round(values.shape[1] ** 0.5)
    return values.mT.reshape(len(values), -1, grid, grid)


def read_linear(path: Path, taps: int, width: int, joint: int) -> LinearLayers:
    """Read the linear layers of a checkpoint, ``fc.0.weight`` (C, width) ... in ``trainable_linearlayer``.

    Raises BundleError if they are not ``taps`` layers from ``width`` to ``joint`` channels.
    """
    found = read_tensors(path)
    inner = found.get("trainable_linearlayer", found)
    layers: dict[str, Any] = inner if isinstance(inner, dict) else {}
    shapes = {n: tuple(t.shape) for n, t in layers.items() if isinstance(t, Tensor)}
    looks = "" if inner is not found else looks_like(found)
    _check(path, shapes, taps, (width, joint), looks)
    weight, bias = ([layers[f"fc.{n}.{part}"] for n in range(taps)] for part in ("weight", "bias"))
    return LinearLayers(torch.stack(weight).detach().float(), torch.stack(bias).detach().float())


def _check(
    path: Path, shapes: Mapping[str, tuple[int, ...]], taps: int, size: tuple[int, int], looks: str
) -> None:
    width, joint = size
    wanted: dict[str, tuple[int, ...]] = {}
    for number in range(taps):
        wanted |= {f"fc.{number}.weight": (joint, width), f"fc.{number}.bias": (joint,)}
    for name in sorted(wanted.keys() | shapes.keys()):
        if shapes.get(name) != wanted.get(name):
            raise BundleError(
                f"{path}: {name!r} is {shapes.get(name, 'missing')} where this CLIP and {taps} taps need "
                f"{wanted.get(name, 'no such layer')}; give the checkpoint that was trained with them{looks}"
            )
