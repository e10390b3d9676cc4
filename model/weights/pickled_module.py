"""The tensors of a torch module that was pickled as a whole, read without running anything from the file."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from s2sw.model.weights.tensors import read_saved


def read_module(path: Path, classes: Collection[str]) -> Any:
    """Return the state dict of a pickled module; anything else that the file holds is returned as it is.

    classes: full names of those that the pickle may name. An inert class stands for each, so that reading
    makes no object that does anything. Raises BundleError for a pickle that names others.
    """
    stand_ins = [(type(name.rpartition(".")[2], (_StandIn,), {}), name) for name in classes]
    found = read_saved(path, stand_ins)
    return dict(_tensors(found, "")) if isinstance(found, _StandIn) else found


class _StandIn:
    """In place of a module: it holds what the pickle says of it."""


def _tensors(module: _StandIn, prefix: str) -> Iterator[tuple[str, Tensor]]:
    state = vars(module)
    for group in ("_parameters", "_buffers"):
        for name, tensor in (state.get(group) or {}).items():
            if tensor is not None:
                yield prefix + name, tensor
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, _StandIn):
            yield from _tensors(child, f"{prefix}{name}.")
