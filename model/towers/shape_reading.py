"""The shapes of a CLIP ViT, read off its weights."""

import math
from collections.abc import Mapping

from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.towers.blocks import count_blocks
from s2sw.model.towers.shapes import Activation, TextShape, VisionShape
from s2sw.model.towers.stem import stem_shape

HEAD_WIDTHS = {1280: 80, 1408: 88, 1664: 104}
"""Visual widths whose heads are not 64 wide: ViT-H/14, ViT-g/14 and ViT-bigG/14 of open_clip."""

GELU_WIDTHS = frozenset({896, 1280, 1408, 1664})
"""Visual widths that OpenAI never published, so that their weights use the exact GELU."""


def _shape(tensors: Mapping[str, Tensor], name: str, source: str, dimensions: int) -> tuple[int, ...]:
    if name not in tensors:
        raise BundleError(
            f"{source}: tensor {name!r} is missing; give the weights of a CLIP with a ViT image tower"
        )
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise BundleError(f"{source}: tensor {name!r} is {shape}; {dimensions} dimensions are needed")
    return shape


def vision_shape(
    tensors: Mapping[str, Tensor], source: str, activation: Activation, heads: int | None
) -> VisionShape:
    """Read the visual tower's shape off a state dict in OpenAI's naming; heads: None infers them."""
    width, channels, patch, _ = _shape(tensors, "visual.conv1.weight", source, 4)
    stem = stem_shape(tensors, "visual.stem.", source)
    if stem is not None:  # conv1 then takes the stem's patches, one by one
        channels, patch = 3, stem.backbone.patch
    positions, _ = _shape(tensors, "visual.positional_embedding", source, 2)
    grid = math.isqrt(positions - 1)
    if grid * grid != positions - 1 or channels != 3:
        raise BundleError(
            f"{source}: visual.positional_embedding has {positions} rows and conv1 {channels} channels; "
            "a square grid plus the class token and RGB input are needed"
        )
    _, embed_dim = _shape(tensors, "visual.proj", source, 2)
    layers = count_blocks(tensors, "visual.transformer.resblocks.", source)
    heads = heads or max(1, width // HEAD_WIDTHS.get(width, 64))
    return VisionShape(width, layers, heads, patch, grid, embed_dim, activation, stem)


def text_shape(
    tensors: Mapping[str, Tensor], source: str, activation: Activation, heads: int | None
) -> TextShape:
    """Read the text tower's shape off a state dict in OpenAI's naming; heads: None infers them."""
    vocab, width = _shape(tensors, "token_embedding.weight", source, 2)
    context, _ = _shape(tensors, "positional_embedding", source, 2)
    _, embed_dim = _shape(tensors, "text_projection", source, 2)
    layers = count_blocks(tensors, "transformer.resblocks.", source)
    return TextShape(width, layers, heads or max(1, width // 64), context, vocab, embed_dim, activation)
