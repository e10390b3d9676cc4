"""The tensors of a torch module that was pickled as a whole, read without running anything from the file."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from s2sw.model.weights.parts import ModuleObject
from s2sw.model.weights.tensors import read_saved


def read_module(path: Path, classes: Collection[str]) -> Any:
    """Return the state dict of a pickled module; anything else that the file holds is returned as it is.

    classes: full names of those that the pickle may name. Raises BundleError for one that names others.
    """
    found = read_saved(path, classes)
    return dict(_tensors(found, "")) if isinstance(found, ModuleObject) else found


def _tensors(module: ModuleObject, prefix: str) -> Iterator[tuple[str, Tensor]]:
    state = module.attributes
    for group in ("_parameters", "_buffers"):
        for name, tensor in (state.get(group) or {}).items():
            if tensor is not None:
                yield prefix + name, tensor
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, ModuleObject):
            yield from _tensors(child, f"{prefix}{name}.")
