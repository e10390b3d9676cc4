"""What a run may use of a machine or cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from s2sw.pipeline.checks.machine import allow_open_files, free_bytes, limits
from s2sw.pipeline.checks.needs import Fitted, fit
from s2sw.pipeline.privacy.temporary import temporary_root
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
CPU_INFO = Path("/proc/cpuinfo")
BF16_FLAGS = frozenset(("amx_bf16", "avx512_bf16"))
"""Of processors that multiply bfloat16 numbers quicker than float32 ones."""
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
    """How actors on CPUs compute attention (``s2sw.model.towers.attention``); one way for a whole run."""


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
    if precision == "bf16" and not settings.address and not multiplies_bf16(device):
        raise UserError("precision: bf16 was asked for, but this CPU has no bf16 products; use fp32")
    if precision == "int8" and device != "cpu":
        raise UserError("precision: int8 was asked for, but it is for CPUs; use bf16, or device: cpu")
    if precision == "int8" and not settings.address and not multiplies_int8():
        raise UserError("precision: int8 was asked for, but this CPU has no AVX-512 VNNI; use auto")
    if precision == "auto":
        precision = _precision(device, settings.address, profiled)
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
        precision=precision,
        attention=_attention(attention, precision, device, settings.address),
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


def multiplies_bf16(device: str) -> bool:
    """Tell whether a device has bfloat16 products (``s2sw.model.precision``)."""
    import torch

    from s2sw.model.precision import multiplies_bf16

    return multiplies_bf16(torch.device(device))


def multiplies_int8() -> bool:
    """Tell whether this machine's CPU has int8 products (``s2sw.model.precision``)."""
    import torch

    from s2sw.model.precision import multiplies_int8

    return multiplies_int8(torch.device("cpu"))


def _precision(device: str, address: str | None, profiled: str | None) -> "Precision":
    """Return bf16 where it is quicker, and float32 on CPUs to compare with a profile that was made in it.

    The processors of a cluster's nodes may differ in what they have: float32 there.
    """
    if device == "cuda":
        return "bf16"
    quick = profiled != "fp32" and address is None and quick_bf16() and multiplies_bf16(device)
    return "bf16" if quick else "fp32"


def quick_bf16() -> bool:
    """Tell whether this machine's processor has bfloat16 products of its own.

    torch also says yes to AVX-512 without them, where they are made of float32 ones.
    """
    if not CPU_INFO.exists():
        return False
    lines = CPU_INFO.read_text(errors="replace").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def _attention(
    asked: "Way | Literal['auto']", precision: "Precision", device: str, address: str | None
) -> "Way":
    """Return how attention is computed: measured for bf16 tokens on CPUs, in a cluster by a node."""
    if asked != "auto" or device != "cpu" or precision == "fp32":
        return "fused" if asked == "auto" else asked
    if not address:
        return _quicker(precision)
    import ray

    if not ray.is_initialized():
        return "fused"
    found: Way = ray.get(ray.remote(num_cpus=SHARED_CPU)(_quicker).remote(precision))
    return found


def _quicker(precision: "Precision") -> "Way":
    import torch

    from s2sw.model.precision import token_type
    from s2sw.model.towers.attention import quicker

    return quicker() if token_type(precision) == torch.bfloat16 else "fused"


def _cluster(resource: str) -> float:
    """Return how much of a resource the connected cluster has; 0 before there is a connection."""
    import ray

    found = ray.cluster_resources() if ray.is_initialized() else {}  # type: ignore[no-untyped-call]
    return float(found.get(resource, 0))
