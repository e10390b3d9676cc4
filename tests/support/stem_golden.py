"""What onnxruntime computes of the published stem: python -m tests.support.stem_golden (needs 's2sw[train]').

Kept in stem_golden.npz, so that the shipped stem is checked where the package is not installed.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s2sw.model.embedded_training.stem_conversion import TAPS
from s2sw.model.embedded_training.stem_source import published_file

FILE = Path(__file__).with_suffix(".npz")
SIDE = 224
"""Of the published file's input, pixels."""
EVERY = 16
"""Patches of which one is kept."""


def stem_input() -> Tensor:
    """Return the normalised picture that all is computed of."""
    return torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def published_tokens() -> dict[str, Tensor]:
    """Return the patches (1, N, width) after each tap's block, and after the last norm as ``last``."""
    import onnx
    import onnxruntime

    model = onnx.load(str(published_file()))
    means = {node.name: node.input[0] for node in model.graph.node if node.op_type == "ReduceMean"}
    named = {f"block_{tap}": means[f"/backbone/encoder/layer.{tap}/norm1/ReduceMean"] for tap in TAPS}
    norm = next(node for node in model.graph.node if "backbone.layernorm.bias" in node.input)
    named["last"] = norm.output[0]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in named.values())
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(list(named.values()), {"input_image": stem_input().numpy()})
    return {name: torch.from_numpy(one)[:, 1:] for name, one in zip(named, found, strict=True)}


if __name__ == "__main__":
    np.savez(FILE, **{n: t[:, ::EVERY].numpy() for n, t in published_tokens().items() if n != "last"})
