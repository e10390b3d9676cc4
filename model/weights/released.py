"""Released checkpoints: their parts, keys and shapes, and which system a file looks like."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.weights.tensors import read_tensors

SIGNS = {
    "textual_learner": "adaptclip",
    "visual_learner": "adaptclip",
    "pq_learner": "adaptclip",
    "seg_adapters": "mvfa",
    "det_adapters": "mvfa",
    "image_adapter": "aa_clip, the image adapter",
    "text_adapter": "aa_clip, the text adapter",
    "attention.attn.to_q.weight": "af_clip, the adaptor",
    "trainable_linearlayer": "april_gan",
    "prompt_learner": "s2swclip or anomalyclip",
    "ctx_pos": "s2swclip or anomalyclip",
    "visual.conv1.weight": "a CLIP",
}
"""Entries of a file that only one system's checkpoints have."""

Shape = tuple[int, ...]


def looks_like(found: Collection[str]) -> str:
    """Return which system's checkpoint has such entries, for the end of an error; empty if none has."""
    system = next((system for sign, system in SIGNS.items() if sign in found), None)
    return f"; the file looks like a checkpoint of {system}" if system else ""


@dataclass(frozen=True)
class Part:
    """One state dict of a checkpoint. where: the file and the part, as errors begin; looks: as they end."""

    where: str
    looks: str
    tensors: Mapping[str, Any]

    def refuse(self, key: str, what: str) -> NoReturn:
        """Raise BundleError: one line that names the file, the part, the key, and what is wrong with it."""
        raise BundleError(f"{self.where}: {key!r} {what}{self.looks}")

    def shape(self, key: str, dimensions: int) -> Shape:
        """Return a tensor's shape, from which sizes are read; raises BundleError."""
        found = self.tensors.get(key)
        if found is None:
            self.refuse(key, "is missing")
        if not isinstance(found, Tensor) or found.ndim != dimensions:
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            self.refuse(key, f"is {what} where a tensor of {dimensions} dimensions is needed")
        return tuple(found.shape)

    def count(self, prefix: str, suffix: str) -> int:
        """Return how many keys ``{prefix}N{suffix}`` there are, N from 0 without a gap."""
        number = 0
        while f"{prefix}{number}{suffix}" in self.tensors:
            number += 1
        if number == 0:
            self.refuse(f"{prefix}0{suffix}", "is missing")
        return number

    def exactly(self, shapes: Mapping[str, Shape], integers: Iterable[str] = ()) -> dict[str, Tensor]:
        """Return the tensors, float32, if they are these keys in these shapes and finite.

        integers: keys whose values are whole numbers, which stay as they are. Raises BundleError.
        """
        whole = frozenset(integers)
        for key in [*self.tensors, *shapes]:
            if key not in shapes:
                self.refuse(key, "is unknown")
            if self.shape(key, len(shapes[key])) != shapes[key]:
                found = tuple(self.tensors[key].shape)
                self.refuse(key, f"is {found} where this CLIP and the other keys call for {shapes[key]}")
            tensor = self.tensors[key]
            if tensor.is_floating_point() == (key in whole):
                self.refuse(key, f"holds {tensor.dtype}, of the wrong kind")
            if not torch.isfinite(tensor).all():
                self.refuse(key, "has values that are not finite")
        kept = {key: tensor.detach() for key, tensor in self.tensors.items()}
        return {key: tensor if key in whole else tensor.float() for key, tensor in kept.items()}


def _nested(found: dict[str, Any], parts: Collection[str]) -> dict[str, Any]:
    """Return a file whose keys are ``part.key``, as training here leaves it, as a dict of the parts."""
    if not all(name.partition(".")[0] in parts and "." in name for name in found):
        return found
    nested: dict[str, Any] = {}
    for name, value in found.items():
        part, _, key = name.partition(".")
        nested.setdefault(part, {})[key] = value
    return nested


def read_parts(
    path: str | Path, system: str, parts: Collection[str], beside: Collection[str] = ()
) -> dict[str, Part]:
    """Read a checkpoint that is a dict of state dicts.

    parts: the state dicts that it must have. beside: entries that it may have and that are not looked at.
    Raises BundleError for a part that is missing or unknown.
    """
    found = _nested(read_tensors(Path(path)), parts)
    looks = looks_like(found)
    for name in [*parts, *found]:
        if name not in found:
            raise BundleError(f"{path}: {name!r} is missing, which {system} needs{looks}")
        if name not in {*parts, *beside}:
            raise BundleError(f"{path}: {name!r} is unknown to {system}{looks}")
        if name in parts and not isinstance(found[name], dict):
            kind = type(found[name]).__name__
            raise BundleError(f"{path}: {name!r} is a {kind}, no dict of tensors{looks}")
    return {name: Part(f"{path}: {name}", looks, found[name]) for name in parts}
