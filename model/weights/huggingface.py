"""Hugging Face's CLIPModel naming, turned into OpenAI's."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from s2sw.model.errors import BundleError

VISION, TEXT = "vision_model.", "text_model."

WHOLE = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
}
TRANSPOSED = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
PREFIXES = {
    "vision_model.pre_layrnorm.": "visual.ln_pre.",  # the misspelling is theirs
    "vision_model.post_layernorm.": "visual.ln_post.",
    "text_model.final_layer_norm.": "ln_final.",
}
IN_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
LAYER = re.compile(r"^(vision_model|text_model)\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)$")
UNREAD = re.compile(r"position_ids$|^logit_scale$|\.[kv]_proj\.(weight|bias)$")
"""Not read by their own names; k and v are packed together with q."""


def is_huggingface(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these names are those of transformers' CLIPModel."""
    return any(name.startswith((VISION, TEXT)) for name in tensors)


def from_huggingface(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the same weights by OpenAI's names, q, k and v packed; unknown names raise BundleError."""
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if UNREAD.search(name):
            continue
        if name.endswith((".q_proj.weight", ".q_proj.bias")):
            named[_block_name(name, source)] = _packed(tensors, name, source)
        elif name in TRANSPOSED:
            if tensor.ndim != 2:
                raise BundleError(f"{source}: tensor {name!r} is {tuple(tensor.shape)}, no matrix")
            named[TRANSPOSED[name]] = tensor.T.contiguous()
        else:
            named[_name(name, source)] = tensor
    return named


def _name(name: str, source: str) -> str:
    if name in WHOLE:
        return WHOLE[name]
    for theirs, ours in PREFIXES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return _block_name(name, source)


def _block_name(name: str, source: str) -> str:
    found = LAYER.match(name)
    part = found and ("attn.in_proj_" if found[3] == "self_attn.q_proj" else IN_BLOCK.get(found[3], ""))
    if not found or not part:
        raise BundleError(f"{source}: tensor {name!r} belongs to no CLIPModel with a ViT; not supported")
    tower = "visual." if found[1] == "vision_model" else ""
    joint = "" if part.endswith("_") else "."
    return f"{tower}transformer.resblocks.{found[2]}.{part}{joint}{found[4]}"


def _packed(tensors: Mapping[str, Tensor], name: str, source: str) -> Tensor:
    names = [name.replace(".q_proj.", f".{letter}_proj.") for letter in "qkv"]
    missing = [n for n in names if n not in tensors]
    if missing:
        raise BundleError(f"{source}: tensor {missing[0]!r} is missing; the file is cut")
    shapes = {tuple(tensors[n].shape) for n in names}
    if len(shapes) > 1 or () in shapes:
        raise BundleError(f"{source}: {name!r} and its k and v have shapes that cannot be packed: {shapes}")
    return torch.cat([tensors[n] for n in names])
