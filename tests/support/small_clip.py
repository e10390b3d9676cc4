"""A small CLIP from a seed, and the ways in which others write such weights down."""

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.support.tiny_clip import tiny_clip_state_dict

WIDTH, JOINT, LAYERS, TEXT_LAYERS, PATCH, GRID = 64, 32, 4, 3, 8, 3


def state_dict(seed: int = 5, **shape: int) -> dict[str, Tensor]:
    """OpenAI's naming; the vocabulary is CLIP's."""
    given = {
        "width": WIDTH,
        "embed_dim": JOINT,
        "vision_layers": LAYERS,
        "text_layers": TEXT_LAYERS,
        "patch": PATCH,
        "grid": GRID,
    } | shape
    return {name: torch.tensor(array) for name, array in tiny_clip_state_dict(seed, **given).items()}


class _Tree(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def save_torchscript(tensors: dict[str, Tensor], path: Path) -> None:
    """Write as OpenAI does: a scripted module whose attributes make up the names, in half precision."""
    root = _Tree()
    for name, tensor in tensors.items():
        *folders, last = name.split(".")
        at = root
        for folder in folders:
            if folder not in dict(at.named_children()):
                at.add_module(folder, _Tree())
            at = at.get_submodule(folder)
        at.register_parameter(last, nn.Parameter(tensor.clone()))
    root.register_buffer("input_resolution", torch.tensor(GRID * PATCH))
    root.register_buffer("context_length", torch.tensor(77))
    root.register_buffer("vocab_size", torch.tensor(49408))
    torch.jit.script(root).save(str(path))


def huggingface(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename to transformers' CLIPModel: q, k and v apart, projections transposed."""
    named: dict[str, Tensor] = {"vision_model.embeddings.position_ids": torch.arange(GRID * GRID + 1)[None]}
    for name, tensor in tensors.items():
        for theirs, part in _theirs(name, tensor):
            named[theirs] = part.contiguous()
    return named


def _theirs(name: str, tensor: Tensor) -> list[tuple[str, Tensor]]:
    fixed = {
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "logit_scale": "logit_scale",
    }
    if name in fixed:
        return [(fixed[name], tensor)]
    if name in ("visual.proj", "text_projection"):
        return [("visual_projection.weight" if "visual" in name else "text_projection.weight", tensor.T)]
    model = "vision_model" if name.startswith("visual.") else "text_model"
    rest = name.removeprefix("visual.")
    packed = re.match(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(\w+)$", rest)
    if packed:
        where = f"{model}.encoder.layers.{packed[1]}.self_attn"
        return [(f"{where}.{x}_proj.{packed[2]}", p) for x, p in zip("qkv", tensor.chunk(3), strict=True)]
    for ours, theirs in (
        ("transformer.resblocks.", "encoder.layers."),
        ("attn.out_proj", "self_attn.out_proj"),
        ("mlp.c_fc", "mlp.fc1"),
        ("mlp.c_proj", "mlp.fc2"),
        ("ln_1", "layer_norm1"),
        ("ln_2", "layer_norm2"),
        ("ln_pre", "pre_layrnorm"),
        ("ln_post", "post_layernorm"),
        ("ln_final", "final_layer_norm"),
    ):
        rest = rest.replace(ours, theirs)
    return [(f"{model}.{rest}", tensor)]


def save_safetensors(tensors: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
