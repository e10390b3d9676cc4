"""The weights that come with the package: the stem, int8, and what was trained over it, float16.

docs/embedded-model.md says how they were made and how well they do.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.towers.stem import Stem, stem_shape
from s2sw.model.weights.int8 import unpacked
from s2sw.model.weights.tensors import load_exactly, read_tensors


def whole_tensors(stem: Mapping[str, Tensor], head: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all tensors of the detector, float32: the stem's as ``visual.stem.*``, the others as named."""
    own = {f"visual.stem.{name}": tensor for name, tensor in unpacked(stem).items()}
    return own | {name: tensor.float() for name, tensor in head.items()}


def frozen_stem(path: Path, side: int, dtype: torch.dtype) -> Stem:
    """Return the stem of a packed file, for pictures of a side in pixels, its transformer in dtype."""
    tensors = unpacked(read_tensors(path))
    shape = stem_shape(tensors, "", str(path))
    if shape is None:
        raise BundleError(f"{path}: no tensors in it; give a stem's file, as `s2sw convert-stem` writes it")
    with torch.device("meta"):
        stem = Stem(shape)
    load_exactly(stem, tensors, str(path))
    stem.backbone.fit_grid(side // shape.backbone.patch)
    stem.lower(dtype)
    return stem
