"""What a run may use of a machine or cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s2sw.pipeline.checks.machine import allow_open_files, free_bytes, limits
from s2sw.pipeline.checks.needs import Fitted, fit
from s2sw.pipeline.privacy.temporary import temporary_root
from s2sw.pipeline.run.products import attention_for, precision_for
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import UserError

if TYPE_CHECKING:  # they import torch
    from s2sw.model.precision import Precision
    from s2sw.model.towers.attention import Way

SHARED_CPU = 0.01
"""CPUs that an actor without a GPU asks a cluster for. With whole ones, the actors of a node that died
move to the nodes that are left and take their last CPUs: no decode task could start any more."""
SMALL_WEIGHTS = 256 << 20
GPU_DRIVERS = (Path("/proc/driver/nvidia"), Path("/dev/nvidiactl"), Path("/dev/kfd"), Path("/dev/dxg"))
"""What the driver of a GPU leaves on Linux: NVIDIA's, AMD's, and that of Windows' subsystem."""
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
    precision: "Precision" = "fp32"
    """What the detector computes in, in all actors."""
    attention: "Way" = "fused"
    """How actors on CPUs compute attention (``s2sw.pipeline.run.products``); one way for a whole run."""


def plan_resources(
    settings: ClusterSettings,
    device: str,
    weights_bytes: int = 0,
    precision: "Precision | Literal['auto']" = "fp32",
    attention: "Way | Literal['auto']" = "auto",
    profiled: str | None = None,
) -> Resources:
    """Fill in what the configuration leaves open, from the connected cluster or this machine.

    device: ``auto``, ``cpu`` or ``cuda``. weights_bytes: size of the detector, which decides how it shares
    the cores of a machine without GPUs. precision, attention: as configured. profiled: the precision of the
    profile in use. Raises UserError if GPUs are asked for and the cluster has none, or a precision
    of a device that has no products for it.
    """
    gpus = _cluster("GPU") if settings.address else machine_gpus()
    if device == "auto":
        device = "cuda" if gpus and settings.gpus_per_actor != 0 else "cpu"
    if device == "cuda" and not gpus:
        raise UserError("device: cuda was asked for, but there is no GPU; use device: cpu or auto")
    computing = precision_for(precision, device, settings.address, profiled)
    cores = machine_cores(settings)
    in_reach = max(1, int(_cluster("CPU"))) if settings.address else cores
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
        precision=computing,
        attention=attention_for(attention, computing, device, settings.address),
    )


def machine_cores(settings: ClusterSettings) -> int:
    """Return the CPU cores of this machine that a run may use."""
    return settings.workers or limits().cores


def fit_to_machine(cluster: ClusterSettings, weights: int) -> Fitted:
    """Return settings for what this machine has now. weights: bytes. Raises FailedError as ``needs.fit``."""
    allow_open_files()
    return fit(cluster, weights, limits(), free_bytes(temporary_root(cluster.temp_dir)))


def machine_gpus() -> int:
    """Return the CUDA devices of this machine; without a driver nothing is imported to find that out."""
    if not any(path.exists() for path in GPU_DRIVERS):
        return 0
    import torch

    return torch.cuda.device_count()


def _cluster(resource: str) -> float:
    """Return how much of a resource the connected cluster has; 0 before there is a connection."""
    import ray

    found = ray.cluster_resources() if ray.is_initialized() else {}  # type: ignore[no-untyped-call]
    return float(found.get(resource, 0))
