"""What a run may use of a machine or cluster."""

import os
from dataclasses import dataclass

import ray
import torch

from s2sw.model.precision import multiplies_bf16
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import UserError

SHARED_CPU = 0.01
"""CPUs that an actor without a GPU asks a cluster for. With whole ones, the actors of a node that died
move to the nodes that are left and take their last CPUs: no decode task could start any more."""
SMALL_WEIGHTS = 256 << 20
MASK_THREADS = 8
"""Threads of a GPU's actor that make masks, at most: decoding needs the other cores."""


@dataclass(frozen=True)
class Resources:
    """What the stages may use: actors of the detector, and decode tasks at once."""

    device: str
    cores: int
    """CPUs of the cluster, or those to use of this machine."""
    actors: int
    max_actors: int
    gpus_per_actor: float
    cpus_per_actor: float
    threads: int | None
    """Torch threads of an actor on a CPU; None leaves torch's own choice."""
    decode_tasks: int | None
    """Decode tasks at once; None leaves it to the cluster's free CPUs."""
    calls_per_actor: int
    """Batches that an actor has in hand at once. Two with a GPU: while it computes one, the actor copies the
    next one there and makes the masks of the last."""
    mask_threads: int
    """Masks that an actor makes at once: several for a GPU, which would wait for those of large pictures."""


def plan_resources(
    settings: ClusterSettings, device: str, weights_bytes: int = 0, precision: str = "auto"
) -> Resources:
    """Fill in what the configuration leaves open, from the connected cluster or this machine.

    device: ``auto``, ``cpu`` or ``cuda``. weights_bytes: size of the detector, which decides how it shares
    the cores of a machine without GPUs. Raises UserError if GPUs are asked for and the cluster has none, or
    bf16 of a CPU that has no products for it.
    """
    gpus = _gpus()
    if device == "auto":
        device = "cuda" if gpus and settings.gpus_per_actor != 0 else "cpu"
    if device == "cuda" and not gpus:
        raise UserError("device: cuda was asked for, but there is no GPU; use device: cpu or auto")
    if precision == "bf16" and not settings.address and not multiplies_bf16(torch.device(device)):
        raise UserError("precision: bf16 was asked for, but this CPU has no bf16 products; use fp32")
    cores, in_reach = machine_cores(settings), _cores(settings)
    share = (settings.gpus_per_actor or 1.0) if device == "cuda" else 0.0
    if settings.actors:
        actors = settings.actors
    elif device == "cuda":
        actors = max(1, int(gpus / share))
    else:
        # one thread each: no core waits for another; but every actor holds the weights
        actors = cores if weights_bytes <= SMALL_WEIGHTS else 1
    return Resources(
        device=device,
        cores=in_reach,
        actors=actors,
        max_actors=settings.max_actors or actors,
        gpus_per_actor=share,
        cpus_per_actor=settings.cpus_per_actor
        or (SHARED_CPU if settings.address and device == "cpu" else 1.0),
        threads=None if device == "cuda" else max(1, cores // actors),
        decode_tasks=settings.decode_tasks or (None if settings.address else cores),
        calls_per_actor=2 if device == "cuda" else 1,
        mask_threads=max(1, min(MASK_THREADS, in_reach // actors)) if device == "cuda" else 1,
    )


def _cores(settings: ClusterSettings) -> int:
    if ray.is_initialized():
        return max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    return machine_cores(settings)


def machine_cores(settings: ClusterSettings) -> int:
    """Return the CPU cores of this machine that a run may use."""
    return settings.workers or os.cpu_count() or 1


def _gpus() -> float:
    if ray.is_initialized():
        return float(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    return torch.cuda.device_count()
