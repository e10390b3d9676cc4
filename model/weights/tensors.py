"""Tensors from files of any kind, and into modules."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from s2sw.model.errors import BundleError


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


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a file of tensors without running any code from it: safetensors, TorchScript or torch.save.

    Returns what lies in it: names to tensors, or, for torch.save, the nested dict that was saved.
    """
    found = read_saved(path)
    if not isinstance(found, dict):
        raise BundleError(f"{path}: holds a {type(found).__name__}; a dict of tensors is needed")
    return found


def read_saved(path: Path, stand_ins: Sequence[tuple[type, str]] = ()) -> Any:
    """Read what ``read_tensors`` reads, and of torch.save whatever was saved.

    stand_ins: inert classes to make in place of classes that a pickle names, each with that name. Tensors of
    newer torch.save files stay mapped from the file, so that what is not looked at is not read.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        if is_torchscript(path):
            return _read_torchscript(path)
        mapped = zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(list(stand_ins)):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file") from None
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BundleError(
            f"{path}: not a readable file of tensors ({type(error).__name__}); files that hold anything "
            "but tensors are refused, save the state dict alone"
        ) from error


def _read_torchscript(path: Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        # OpenAI's files are TorchScript and will stay so, whatever replaces it
        warnings.filterwarnings("ignore", message=".*torch.jit.load.* is deprecated", category=FutureWarning)
        return dict(torch.jit.load(path, map_location="cpu").state_dict())  # type: ignore[no-untyped-call]


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is TorchScript, as OpenAI publishes its weights."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
