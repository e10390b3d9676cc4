"""How a run's detectors multiply: their precision, and the way of attention, one for all actors."""

import contextlib
import hashlib
import importlib.metadata
from typing import TYPE_CHECKING, Literal

from s2sw.pipeline.checks.processor import processor, quick_bf16
from s2sw.schemas.cache import cache_folder
from s2sw.schemas.errors import UserError
from s2sw.schemas.whole_files import write_whole

if TYPE_CHECKING:  # they import torch
    from s2sw.model.precision import Precision
    from s2sw.model.towers.attention import Way

TASK_CPUS = 0.01
"""CPUs that a measurement on a cluster asks for: it must not wait for a whole one."""
WAYS: dict[str, "Way"] = {"fused": "fused", "by_heads": "by_heads"}


def precision_for(
    asked: "Precision | Literal['auto']", device: str, address: str | None, profiled: str | None
) -> "Precision":
    """Return what detectors compute in. address: of a cluster. profiled: the precision of the profile in use.

    auto: bf16 where it is quicker, and float32 on CPUs to compare with a profile that was made in it. The
    processors of a cluster's nodes may differ in what they have: float32 there.
    Raises UserError for one that the device has no products for.
    """
    if asked == "auto":
        quick = device == "cuda" or (profiled != "fp32" and address is None and quick_bf16())
        return "bf16" if quick else "fp32"
    if asked == "int8" and device != "cpu":
        raise UserError("precision: int8 was asked for, but it is for CPUs; use bf16, or device: cpu")
    if asked != "fp32" and not address and not _multiplies(asked, device):
        needs = "bf16 products; use fp32" if asked == "bf16" else "AVX-512 VNNI; use auto"
        raise UserError(f"precision: {asked} was asked for, but this CPU has no {needs}")
    return asked


def attention_for(
    asked: "Way | Literal['auto']", precision: "Precision", device: str, address: str | None
) -> "Way":
    """Return how attention is computed: the quicker way for bf16 tokens on a CPU, in a cluster a node's."""
    if asked != "auto" or device != "cpu" or precision == "fp32":
        return "fused" if asked == "auto" else asked
    if not address:
        return quicker_here(precision)
    import ray

    if not ray.is_initialized():
        return "fused"
    found: Way = ray.get(ray.remote(num_cpus=TASK_CPUS)(quicker_here).remote(precision))
    return found


def quicker_here(precision: "Precision") -> "Way":
    """Return the way of attention that is quicker on this machine.

    It is measured once and kept in the user's cache: later runs need no torch to know it, and a busy machine
    does not give their scores other last digits.
    """
    known = (processor(), *map(importlib.metadata.version, ("torch", "s2sw")), precision)
    place = cache_folder() / f"attention-{hashlib.sha256(repr(known).encode()).hexdigest()[:12]}"
    with contextlib.suppress(OSError, UnicodeDecodeError), place.open() as file:
        if found := WAYS.get(file.read(len("by_heads") + 1)):
            return found
    found = _measured(precision)
    with contextlib.suppress(OSError):  # then the next run measures again
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(place, found.encode())
    return found


def _measured(precision: "Precision") -> "Way":
    import torch

    from s2sw.model.precision import token_type
    from s2sw.model.towers.attention import quicker

    return quicker() if token_type(precision) == torch.bfloat16 else "fused"


def _multiplies(precision: "Precision", device: str) -> bool:
    import torch

    from s2sw.model.precision import multiplies

    return multiplies(precision, torch.device(device))
