"""From a trained network to the file that the package ships."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from s2sw.model.embedded_training.net import EmbeddedNet


def shipped_tensors(net: EmbeddedNet, calibration: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tower over the stem (``visual.*``), normalised class vectors and calibration, float16."""
    tensors = {f"visual.{name}": tensor for name, tensor in net.tower.state_dict().items()}
    tensors["class_vectors"] = net.class_vectors()
    tensors |= calibration
    return {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in tensors.items()}


def export(net: EmbeddedNet, calibration: Mapping[str, Tensor], path: Path) -> None:
    """Write the file whole or not at all."""
    draft = path.with_suffix(".part")
    save_file(dict(sorted(shipped_tensors(net, calibration).items())), draft)
    draft.replace(path)
