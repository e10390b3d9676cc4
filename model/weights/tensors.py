"""Tensors from files of any kind, and into modules."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.weights.checkpoints import read_checkpoint
from s2sw.model.weights.parts import RefusedError

LONGEST_NAME = 200
"""Characters of a tensor's name; the names of released checkpoints have fewer than 100."""


def load_exactly(module: torch.nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill every parameter of module from tensors, no more and no less, and freeze it for inference."""
    wanted = {n: tuple(p.shape) for n, p in module.state_dict().items()}
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            raise BundleError(f"{source}: tensor {name!r} is missing; the file is cut or of another model")
        if name not in wanted:
            raise BundleError(
                f"{source}: tensor {name!r} belongs to no plain CLIP ViT; this kind of tower is not supported"
            )
        if tuple(tensors[name].shape) != wanted[name]:
            raise BundleError(
                f"{source}: tensor {name!r} is {tuple(tensors[name].shape)} where the other tensors call for "
                f"{wanted[name]}; the file mixes two models"
            )
    module.load_state_dict(dict(tensors), assign=True)  # no copy: a bundle's file stays mapped
    module.requires_grad_(False).eval()


PROMPT_DIMENSIONS = 3
"""Of the one bare tensor that is published as a checkpoint."""


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors without running any code from it: safetensors, TorchScript or torch.save.

    Returns what lies in it: names to tensors, or, for torch.save, the nested dict that was saved. Raises
    BundleError for a file that is missing, damaged or holds anything but tensors in plain containers.
    """
    found = read_saved(path)
    if not isinstance(found, dict):
        bare = isinstance(found, Tensor) and found.ndim == PROMPT_DIMENSIONS
        looks = "; the file looks like a checkpoint of af_clip, the prompt" if bare else ""
        raise BundleError(f"{path}: holds a {type(found).__name__}; a dict of tensors is needed{looks}")
    return found


def _check_names(found: Any) -> None:
    """Raise RefusedError where a tensor's name is none that a message could show."""
    if not isinstance(found, dict):
        return
    for name, value in found.items():
        plain = isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_NAME
        if isinstance(value, Tensor) and not plain:
            raise RefusedError(
                f"it has a tensor whose name is no printable text of {LONGEST_NAME} characters"
            )
        _check_names(value)


def read_saved(path: Path, classes: Collection[str] = ()) -> Any:
    """Read what ``read_tensors`` reads, and of torch.save whatever was saved.

    classes: full names of classes that a pickle may name; ModuleObjects stand for their objects.
    """
    try:
        found = dict(load_file(path)) if path.suffix == ".safetensors" else read_checkpoint(path, classes)
        _check_names(found)
        return found
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file") from None
    # everything: the readers of archives and pickles raise anything on a damaged file
    except Exception as error:
        why = str(error) if isinstance(error, RefusedError) else type(error).__name__
        raise BundleError(
            f"{path}: not a readable file of tensors ({why}); files that hold anything but tensors are "
            "refused, save the state dict alone"
        ) from error
