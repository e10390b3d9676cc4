"""CLIP weights from any file they come in, as one state dict in OpenAI's naming."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.towers.normalisation import Colour
from s2sw.model.towers.shape_reading import GELU_WIDTHS, text_shape, vision_shape
from s2sw.model.towers.shapes import Activation, TextShape, VisionShape
from s2sw.model.towers.text import TextTower
from s2sw.model.towers.visual import VisionTower
from s2sw.model.weights.checkpoints import is_torchscript
from s2sw.model.weights.huggingface import from_huggingface, is_huggingface
from s2sw.model.weights.load_options import LoadOptions, options_beside
from s2sw.model.weights.tensors import load_exactly, read_tensors

log = logging.getLogger(__name__)

UNKNOWN = LoadOptions()
TEXT_PREFIXES = (
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
)
IGNORED = frozenset(
    {"logit_scale", "logit_bias", "input_resolution", "context_length", "vocab_size", "attn_mask"}
)
"""Entries of CLIP files that the detector does not read."""


@dataclass(frozen=True, slots=True)
class ClipWeights:
    """A CLIP in memory: float32 tensors by OpenAI's names (``visual.*`` and the text side), and shapes."""

    tensors: dict[str, Tensor]
    vision: VisionShape
    text: TextShape
    normalisation: tuple[Colour, Colour]
    source: str
    """Named in errors: a path, or what made the weights."""

    @property
    def label(self) -> str:
        """What bundle.json calls the weights: the file's name, no path."""
        return Path(self.source).name

    def with_activation(self, activation: Activation) -> "ClipWeights":
        """Return the same weights, read with another activation."""
        vision = replace(self.vision, activation=activation)
        return replace(self, vision=vision, text=replace(self.text, activation=activation))

    def visual_tensors(self) -> dict[str, Tensor]:
        """Return the visual tower's tensors, named as in VisionTower."""
        return {n.removeprefix("visual."): t for n, t in self.tensors.items() if n.startswith("visual.")}

    def bundled(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a bundle: the visual ones by their full names, and a detector's own."""
        return {n: t for n, t in self.tensors.items() if n.startswith("visual.")} | dict(own)

    def vision_tower(self) -> VisionTower:
        """Return the visual tower with its own positional grid, frozen, in float32."""
        return load_vision(self.vision, self.visual_tensors(), self.source)

    def text_tower(self) -> TextTower:
        """Return the text tower, frozen, in float32."""
        tower = TextTower(self.text)
        load_exactly(
            tower, {n: t for n, t in self.tensors.items() if n.startswith(TEXT_PREFIXES)}, self.source
        )
        return tower


def load_vision(shape: VisionShape, tensors: Mapping[str, Tensor], source: str) -> VisionTower:
    """Return a frozen visual tower that holds these tensors themselves, named as in VisionTower."""
    with torch.device("meta"):  # nothing is drawn or allocated only to be replaced
        tower = VisionTower(shape)
    load_exactly(tower, tensors, source)
    return tower


def read_clip(path: Path, options: LoadOptions = UNKNOWN) -> ClipWeights:
    """Read a CLIP from OpenAI's .pt, an open_clip file or a Hugging Face (CLIPModel) safetensors file."""
    tensors = _unwrapped(read_tensors(path), str(path))
    options = options.or_else(options_beside(path))
    if is_torchscript(path):  # only OpenAI publishes these
        options = options.or_else(LoadOptions("quick_gelu"))
    if is_huggingface(tensors):
        tensors = from_huggingface(tensors, str(path))
    return clip_from_tensors(tensors, str(path), options)


def clip_from_tensors(
    tensors: Mapping[str, Tensor], source: str, options: LoadOptions = UNKNOWN
) -> ClipWeights:
    """Take a state dict in OpenAI's or open_clip's naming as a CLIP; source names it in errors."""
    plain = {n.removeprefix("text."): t.float() for n, t in tensors.items()}
    plain = {n: t for n, t in plain.items() if n not in IGNORED}
    stray = [n for n in plain if not n.startswith(("visual.", *TEXT_PREFIXES))]
    if stray:
        raise BundleError(f"{source}: tensor {stray[0]!r} belongs to no plain CLIP ViT; not supported")
    activation = options.activation or _assumed_activation(plain, source)
    return ClipWeights(
        plain,
        vision_shape(plain, source, activation, options.vision_heads),
        text_shape(plain, source, activation, options.text_heads),
        options.normalisation,
        source,
    )


def _assumed_activation(tensors: Mapping[str, Tensor], source: str) -> Activation:
    conv = tensors.get("visual.conv1.weight")
    activation: Activation = "gelu" if conv is not None and conv.shape[0] in GELU_WIDTHS else "quick_gelu"
    log.warning(
        "%s does not say its activation; %s is assumed (build_bundle(activation=...) sets it)",
        source,
        activation,
    )
    return activation


def _unwrapped(found: Mapping[str, Any], source: str) -> dict[str, Tensor]:
    """Take the state dict out of a training checkpoint; refuse what is not tensors."""
    inner = found.get("state_dict", found)
    if not isinstance(inner, dict):
        raise BundleError(f"{source}: 'state_dict' is a {type(inner).__name__}, not a dict of tensors")
    for name, value in inner.items():
        if not isinstance(value, Tensor):
            raise BundleError(
                f"{source}: entry {name!r} is a {type(value).__name__}, no tensor; save the state dict alone"
            )
    return {name.removeprefix("module."): value for name, value in inner.items()}
