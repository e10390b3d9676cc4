"""DINOv2's weights by one set of names, from the original, timm's or Hugging Face's naming."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.towers.dinov2 import HEAD, dinov2_shape
from s2sw.model.towers.normalisation import Colour
from s2sw.model.towers.shapes import Dinov2Shape
from s2sw.model.weights.tensors import read_tensors

MEAN: Colour = (0.485, 0.456, 0.406)
STD: Colour = (0.229, 0.224, 0.225)
"""Of the input channels in 0..1: ImageNet's."""

WRAPPED = ("state_dict", "model", "teacher")
"""Under which a training checkpoint keeps its tensors."""
OUTER = ("module.", "backbone.", "dinov2_with_registers.", "dinov2.")
"""Prefixes of the same names inside larger models."""
UNREAD = ("mask_token", "embeddings.mask_token", "classifier.", "head.", "dino_head.", "ibot_head.")

WHOLE = {
    "cls_token": "class_embedding",
    "pos_embed": "positional_embedding",
    "register_tokens": "register_tokens",
    "reg_token": "register_tokens",  # timm
    "patch_embed.proj.weight": "conv1.weight",
    "patch_embed.proj.bias": "conv1.bias",
    "norm.weight": "ln_post.weight",
    "norm.bias": "ln_post.bias",
    "embeddings.cls_token": "class_embedding",
    "embeddings.position_embeddings": "positional_embedding",
    "embeddings.register_tokens": "register_tokens",
    "embeddings.patch_embeddings.projection.weight": "conv1.weight",
    "embeddings.patch_embeddings.projection.bias": "conv1.bias",
    "layernorm.weight": "ln_post.weight",
    "layernorm.bias": "ln_post.bias",
}
BLOCK = re.compile(r"^(?:blocks|encoder\.layer)\.(\d+)\.(.+)$")
IN_BLOCK = {
    "norm1": "ln_1",
    "norm2": "ln_2",
    "attn.qkv": "attn.in_proj",
    "attn.proj": "attn.out_proj",
    "attention.attention.query": "attn.q",
    "attention.attention.key": "attn.k",
    "attention.attention.value": "attn.v",
    "attention.output.dense": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
SCALES = {
    "ls1.gamma": "attn.out_proj",
    "ls2.gamma": "mlp.c_proj",
    "layer_scale1.lambda1": "attn.out_proj",
    "layer_scale2.lambda1": "mlp.c_proj",
}
"""Layer scales to the product that each of them multiplies."""


@dataclass(frozen=True, slots=True)
class Dinov2Weights:
    """tensors: those of ``towers.dinov2.Dinov2`` and ln_post.*, the norm after the last block, float32."""

    tensors: dict[str, Tensor]
    shape: Dinov2Shape
    label: str

    def backbone(self) -> dict[str, Tensor]:
        """Return the tensors of the transformer alone, without the last norm."""
        return {n: t for n, t in self.tensors.items() if not n.startswith("ln_post.")}


def read_dinov2(path: Path) -> Dinov2Weights:
    """Read ViT-S/B/L/14, with registers or without, from a .pt, .pth or .safetensors file."""
    return dinov2_from_tensors(read_tensors(path), str(path))


def dinov2_from_tensors(given: Mapping[str, Any], source: str) -> Dinov2Weights:
    """Take a state dict in original, timm's or Hugging Face's naming; source names it in errors."""
    renamed, scales = _renamed(_unwrapped(given), source)
    width = _width(renamed, source)
    _check_shapes(renamed, width, source)
    tensors = _folded(_packed(renamed, source), scales, source)
    tensors["class_embedding"] = tensors["class_embedding"].reshape(width)
    tensors["register_tokens"] = tensors.get("register_tokens", torch.empty(0)).reshape(-1, width)
    tensors["positional_embedding"] = _positions(tensors["positional_embedding"].reshape(-1, width), source)
    return Dinov2Weights(tensors, dinov2_shape(tensors, "", source), Path(source).name)


def _unwrapped(found: Mapping[str, Any]) -> dict[str, Any]:
    for name in WRAPPED:
        if isinstance(found.get(name), Mapping):
            found = found[name]
    return {_inner(name): tensor for name, tensor in found.items()}


def _inner(name: str) -> str:
    for prefix in OUTER:
        name = name.removeprefix(prefix)
    return name


def _renamed(given: Mapping[str, Any], source: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return tensors by our names, q, k and v still apart, and layer scales by the product they multiply."""
    tensors, scales = {}, {}
    for name, tensor in given.items():
        if name.startswith(UNREAD):
            continue
        if not isinstance(tensor, Tensor):
            raise BundleError(
                f"{source}: entry {name!r} is a {type(tensor).__name__}; save the state dict alone"
            )
        block = BLOCK.match(name)
        if name in WHOLE:
            tensors[WHOLE[name]] = tensor.float()
        elif block and block[2] in SCALES:
            scales[f"transformer.resblocks.{block[1]}.{SCALES[block[2]]}"] = tensor.float()
        elif block and block[2].rpartition(".")[0] in IN_BLOCK:
            part, _, kind = block[2].rpartition(".")
            tensors[f"transformer.resblocks.{block[1]}.{IN_BLOCK[part]}.{kind}"] = tensor.float()
        else:
            raise BundleError(f"{source}: tensor {name!r} belongs to no DINOv2 ViT-S, B or L; not supported")
    return tensors, scales


def _width(tensors: Mapping[str, Tensor], source: str) -> int:
    if "class_embedding" not in tensors or "positional_embedding" not in tensors:
        raise BundleError(
            f"{source}: no class token or positions; give the weights of a DINOv2 ViT-S, B or L"
        )
    width = tensors["class_embedding"].numel()
    if width == 0 or width % HEAD:
        raise BundleError(f"{source}: the class token has {width} channels; a multiple of {HEAD} is needed")
    return width


def _check_shapes(tensors: Mapping[str, Tensor], width: int, source: str) -> None:
    """Raise BundleError where tensors cannot be packed or folded; what else is wrong shows when they load."""
    for name, tensor in tensors.items():
        if name in ("class_embedding", "positional_embedding", "register_tokens"):
            sound = tensor.shape[-1:] == (width,)
        elif name == "conv1.weight":
            sound = tensor.ndim == 4
        else:
            vector = name.endswith(".bias") or name.rpartition(".")[0].rpartition(".")[2].startswith("ln_")
            sound = tensor.ndim == (1 if vector else 2)
        if not sound:
            raise BundleError(
                f"{source}: tensor {name!r} (our name) is {tuple(tensor.shape)}, which no DINOv2 "
                f"{width} wide has"
            )


def _packed(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Join query, key and value, and name the joint product as ``towers.blocks.Attention`` does."""
    packed = {}
    for name, tensor in tensors.items():
        at, _, kind = name.rpartition(".")
        if at.endswith(".attn.in_proj"):
            packed[f"{at}_{kind}"] = tensor
        elif at.endswith(".attn.q"):
            three = list(_three(tensors, at[:-1], kind, source))
            if any(one.shape != tensor.shape for one in three):
                raise BundleError(f"{source}: query, key and value of {at[:-2]} have different shapes")
            packed[f"{at[:-1]}in_proj_{kind}"] = torch.cat(three)
        elif not at.endswith((".attn.k", ".attn.v")):
            packed[name] = tensor
    return packed


def _three(tensors: Mapping[str, Tensor], at: str, kind: str, source: str) -> Iterator[Tensor]:
    for letter in "qkv":
        name = f"{at}{letter}.{kind}"
        if name not in tensors:
            raise BundleError(
                f"{source}: query, key and value of {at.rstrip('.')} are not all there; it is cut"
            )
        yield tensors[name]


def _folded(tensors: dict[str, Tensor], scales: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Multiply layer scales into the product before them: the same function without them."""
    for name, scale in scales.items():
        for kind in ("weight", "bias"):
            if f"{name}.{kind}" not in tensors:
                raise BundleError(f"{source}: tensor {name}.{kind} (our name) is missing; the file is cut")
            if scale.shape != tensors[f"{name}.{kind}"].shape[:1]:
                raise BundleError(
                    f"{source}: the layer scale of {name} is {tuple(scale.shape)}; it does not fit"
                )
        tensors[f"{name}.weight"] = tensors[f"{name}.weight"] * scale[:, None]
        tensors[f"{name}.bias"] = tensors[f"{name}.bias"] * scale
    return tensors


def _positions(rows: Tensor, source: str) -> Tensor:
    """Return positions with a row for the class token; timm, with registers, adds it to the token itself."""
    for first in (rows.new_empty(0, rows.shape[1]), rows.new_zeros(1, rows.shape[1])):
        whole = torch.cat([first, rows])
        if round((len(whole) - 1) ** 0.5) ** 2 == len(whole) - 1:
            return whole
    raise BundleError(f"{source}: {len(rows)} positions are no square grid, with a class token or without")
