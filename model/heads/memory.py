"""A memory of normal pictures: what a picture is compared with by the few-shot detectors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.errors import BundleError


def remembered(features: Tensor) -> Tensor:
    """Return features (K, ..., D) of K normal pictures as a memory: (K * ..., D), L2-normalised, float32."""
    return functional.normalize(features.float(), dim=-1).reshape(-1, features.shape[-1])


def distance(features: Tensor, memory: Tensor) -> Tensor:
    """Return 1 - cosine to the nearest of a memory (M, D), 0..2, as (...) for features (..., D)."""
    return 1 - (functional.normalize(features.float(), dim=-1) @ memory.T).amax(dim=-1)


def by_class(classes: Tensor, run: Callable[[int, Tensor], Tensor]) -> Tensor:
    """Return rows (B, ...) that ``run`` makes for each class and the pictures of it.

    classes: int64 (B,). run: (class, int64 rows of the pictures that are of it) to (rows, ...).
    """
    kinds = torch.unique(classes).tolist()
    rows = [(classes == kind).nonzero()[:, 0] for kind in kinds]
    made = torch.cat([run(kind, some) for kind, some in zip(kinds, rows, strict=True)])
    return made[torch.cat(rows).argsort()]


def inputs(prepare: Callable[[Any], Tensor], pictures: Any, option: str) -> Tensor:
    """Return pictures as the detector takes them; raises BundleError that names the option."""
    try:
        return prepare(pictures)
    except ValueError as error:
        raise BundleError(f"{option}: {error}") from error


def pictures_by_class(given: Any, names: Sequence[str], option: str) -> list[Any]:
    """Return normal pictures in the order of the class names.

    given: pictures, where there is one class; or a mapping from each class name to its pictures. Pictures
    are uint8 (K, H, W, 3) or normalised float (K, 3, S, S), K at least 1. Raises BundleError.
    """
    if not isinstance(given, Mapping):
        if len(names) > 1:
            raise BundleError(f"{option}: give pictures for each of the class names {', '.join(names)}")
        given = {names[0]: given}
    for name in [*names, *given]:
        if name not in given or len(given[name]) == 0:
            raise BundleError(f"{option}: no picture of class {name!r}; every class name needs some")
        if name not in names:
            raise BundleError(f"{option}: {name!r} is no class name of this bundle: {', '.join(names)}")
    return [given[name] for name in names]
