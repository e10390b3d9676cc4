"""From a trained network to the file that the package ships."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from s2sw.model.detectors.embedded import Embedded, embedded_record
from s2sw.model.embedded_training.few_shot import few_shot_lines
from s2sw.model.embedded_training.net import EmbeddedNet
from s2sw.model.embedded_training.pictures import QUICK
from s2sw.model.precision import Precision
from s2sw.model.weights.shipped import whole_tensors
from s2sw.model.weights.tensors import read_tensors
from s2sw.schemas.whole_files import BY_UMASK, write_whole


def shipped_tensors(net: EmbeddedNet, calibration: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tower over the stem (``visual.*``), normalised class vectors and calibration."""
    tensors = {f"visual.{name}": tensor for name, tensor in net.tower.state_dict().items()}
    return tensors | {"class_vectors": net.class_vectors()} | dict(calibration)


def export(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write the tensors in float16, the file whole or not at all."""
    small = {name: tensor.detach().to(torch.float16).contiguous() for name, tensor in sorted(tensors.items())}
    write_whole(path, save(small), BY_UMASK)


def add_few_shot(stem: Path, exported: Path, seed: int) -> None:
    """Fit an exported file's weights of memory and map, and write it again."""
    head = read_tensors(exported)
    tensors = whole_tensors(read_tensors(stem), head)
    precision: Precision = "bf16" if QUICK is torch.bfloat16 else "fp32"
    detector = Embedded(embedded_record(tensors), tensors, "cpu", precision)
    export(head | few_shot_lines(detector, seed), exported)
