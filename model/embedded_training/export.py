"""From a trained network to the file that the package ships."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from s2sw.model.embedded_training.net import EmbeddedNet
from s2sw.model.towers.stem import Stem


def shipped_tensors(stem: Stem, net: EmbeddedNet) -> dict[str, Tensor]:
    """Return stem, tower (``visual.*``) and normalised class vectors, float16."""
    tensors = {f"visual.stem.{name}": tensor for name, tensor in stem.state_dict().items()}
    tensors |= {f"visual.{name}": tensor for name, tensor in net.tower.state_dict().items()}
    tensors["class_vectors"] = net.class_vectors()
    return {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in tensors.items()}


def export(stem: Stem, net: EmbeddedNet, path: Path) -> None:
    """Write the file whole or not at all."""
    draft = path.with_suffix(".part")
    save_file(dict(sorted(shipped_tensors(stem, net).items())), draft)
    draft.replace(path)
