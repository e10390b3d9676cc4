"""Normal pictures that a bundle is built with, and the memory that is made of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from s2sw.model.detectors.base import FaceDetector
from s2sw.model.errors import BundleError
from s2sw.model.heads.memory import inputs, pictures_by_class, stored

OPTION = "references"


def named_references(references: Any, class_names: Sequence[str]) -> tuple[tuple[str, ...], list[Any]]:
    """Return class names and the normal pictures of each, for a detector that needs no class names otherwise.

    references: as of ``pictures_by_class``, or None; a mapping brings its own names where none are given.
    Pictures alone are of the one class without a name. Raises BundleError.
    """
    if references is None:
        if class_names:
            raise BundleError(f"class_name: it is for {OPTION}; also give {OPTION}, or leave it out")
        return (), []
    if not class_names and isinstance(references, Mapping):
        class_names = tuple(references)
    names = tuple(class_names)
    return names, pictures_by_class(references, names or ("",), OPTION)


@torch.inference_mode()
def remember(
    detector: FaceDetector, pictures: Sequence[Any], parts: Callable[[Tensor], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Return a memory as a bundle keeps it.

    pictures: the normal pictures of each class. parts: from one picture (1, 3, S, S) to features by name,
    (1, N, D); those of a class are joined to (K, N, D) and kept as they are.
    """
    found: dict[str, Tensor] = {}
    for row, some in enumerate(pictures):
        seen = [parts(one[None]) for one in inputs(detector.prepare, some, OPTION)]
        found |= stored(row, {name: torch.cat([one[name] for one in seen]) for name in seen[0]})
    return found
