"""A memory of normal pictures: what a picture is compared with by the few-shot detectors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.errors import BundleError

MEMORY = "memory."
MIDDLE = 0.875
"""Near the cosines of patches that resemble each other; a number that bfloat16 has."""
PAIRS_AT_ONCE = 1 << 25
"""Cosines that are held at a time: bounds the device's memory, whatever the number of normal pictures."""


def remembered(features: Tensor) -> Tensor:
    """Return features (K, ..., D) of K normal pictures as a memory: (K * ..., D), L2-normalised, float32."""
    return functional.normalize(features.float(), dim=-1).reshape(-1, features.shape[-1])


def distance(features: Tensor, memory: Tensor) -> Tensor:
    """Return 1 - cosine to the nearest of a memory (M, D), 0..2, as (...) for features (..., D)."""
    return nearest(features, memory)[0]


def nearest_row(unit: Tensor, memory: Tensor) -> Tensor:
    """Return which row of a memory (M, D), L2-normalised, is nearest to features (..., D), int64 (...).

    unit: L2-normalised. Products are of the memory's dtype.
    """
    unit, found, rows = unit.to(memory.dtype), [], max(1, PAIRS_AT_ONCE // max(1, unit[..., 0].numel()))
    # taken off before the sum is rounded: near one, bfloat16 has steps of 0.004, near nought far finer ones
    middle = memory.new_full((len(memory),), -MIDDLE)
    for start in range(0, len(memory), rows):
        some = slice(start, start + rows)
        cosine, row = functional.linear(unit, memory[some], middle[some]).max(dim=-1)
        found.append((cosine, row + start))
    cosines, places = (torch.stack(part) for part in zip(*found, strict=True))
    return places.gather(0, cosines.argmax(dim=0, keepdim=True))[0]


def nearest(features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Return what ``distance`` returns, and which row of the memory it is the distance to, int64 (...)."""
    unit = functional.normalize(features.float(), dim=-1)
    rows = max(1, PAIRS_AT_ONCE // max(1, unit[..., 0].numel()))
    cosine, row = (unit @ memory[:rows].T).max(dim=-1)
    for start in range(rows, len(memory), rows):
        closer, place = (unit @ memory[start : start + rows].T).max(dim=-1)
        row = torch.where(closer > cosine, start + place, row)
        cosine = torch.maximum(closer, cosine)
    # a patch that the memory holds comes out at some 1e-7, of either sign
    return (1 - cosine).clamp(min=0), row


Rows = Tensor | slice
"""Some rows of a batch: their numbers, int64, or all of them as a slice, which copies nothing."""


@dataclass(frozen=True)
class Memory:
    """What is remembered of normal pictures: for each class the parts by name, each (M, D), L2-normalised."""

    classes: Sequence[Mapping[str, Tensor]]
    dtype: torch.dtype = torch.float32
    """Of the products by which ``nearest`` is found; in float32 its distances are those of ``distances``."""

    @classmethod
    def read(
        cls, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype = torch.float32
    ) -> "Memory":
        """Take the memory out of a bundle's tensors, on the device; empty where there is none."""
        kept = kept_features(tensors)
        return cls([{part: f.flatten(0, -2).to(device) for part, f in of.items()} for of in kept], dtype)

    def __bool__(self) -> bool:
        return bool(self.classes)

    def nearest(self, part: str, features: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distance to the nearest of a part, (B, N), and that nearest itself, (B, N, D).

        features: (B, N, D). classes: int64 (B,).
        """

        def of_class(kind: int, rows: Rows) -> Tensor:
            known = self.classes[kind][part]
            if self.dtype == torch.float32:
                apart, row = nearest(features[rows], known)
            else:
                unit = functional.normalize(features[rows].float(), dim=-1)
                row = nearest_row(unit, known.to(self.dtype))
                apart = (1 - (unit * known[row]).sum(dim=-1)).clamp(min=0)
            return torch.cat([apart[..., None], known[row]], dim=-1)

        found = by_class(classes, of_class)
        return found[..., 0], found[..., 1:]

    def distances(self, features: Mapping[str, Tensor], classes: Tensor) -> Tensor:
        """Return each part's ``distance`` to the memory of a picture's own class, (B, parts, N).

        features: part to (B, N, D). classes: int64 (B,).
        """

        def of_class(kind: int, rows: Rows) -> Tensor:
            known = self.classes[kind]
            return torch.stack([distance(f[rows], known[part]) for part, f in features.items()], dim=1)

        return by_class(classes, of_class)


def kept_features(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return what a bundle keeps of normal pictures: for each class the parts by name, each (K, N, D)."""
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(MEMORY):
            row, part = name.removeprefix(MEMORY).split(".")
            found.setdefault(int(row), {})[part] = tensor
    return [found[row] for row in sorted(found)]


def stored(row: int, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the memory of one class as a bundle names its tensors."""
    return {f"{MEMORY}{row}.{part}": tensor for part, tensor in parts.items()}


def by_class(classes: Tensor, run: Callable[[int, Rows], Tensor]) -> Tensor:
    """Return rows (B, ...) that ``run`` makes for each class and the pictures of it.

    classes: int64 (B,). run: (class, rows of the pictures that are of it) to (rows, ...).
    """
    kinds = torch.unique(classes).tolist()
    if len(kinds) == 1:
        return run(kinds[0], slice(None))
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
            of = (
                f" of class {name!r}; every class name needs some" if name else "; give some, or leave it out"
            )
            raise BundleError(f"{option}: no picture{of}")
        if name not in names:
            raise BundleError(f"{option}: {name!r} is no class name of this bundle: {', '.join(names)}")
    return [given[name] for name in names]
