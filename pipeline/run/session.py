"""A Ray to run on: one started here with nothing listening outside, or a cluster's."""

import contextlib
import json
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray._private import ray_constants
from ray._private import utils as ray_utils
from ray._private.node import Node
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from model.precision import multiplies_bf16
from pipeline.ledger.process_mark import is_dead, process_mark
from pipeline.privacy.environment import local_ray_environment
from pipeline.run.interruption import in_main_thread
from pipeline.run.job import UsageError
from schemas.config import ClusterSettings

OBJECT_STORE_BYTES = 2 << 30
SHARED_CPU = 0.01
"""CPUs that an actor without a GPU asks a cluster for. With whole ones, the actors of a node that died
move to the nodes that are left and take their last CPUs: no decode task could start any more."""
NOT_STARTED = ("start_api_server", "start_log_monitor", "start_monitor")
SMALL_WEIGHTS = 256 << 20
FOLDER_PREFIX = "s2sw-"
OWNER = "owner.json"
REMADE_SECONDS = 10.0
"""A folder that is so old and has no owner is not being made."""


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


@contextlib.contextmanager
def ray_session(settings: ClusterSettings) -> Iterator[None]:
    """Connect to the configured cluster, or start a Ray on this machine and end it afterwards.

    Its session folder (logs, sockets, temporary files, spilled blocks) is readable by the owner only and
    removed at the end.
    """
    if settings.address:
        with _signals_left_alone():
            ray.init(address=settings.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield
        finally:
            _shut_down()
        return
    wipe_abandoned(settings)
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=settings.temp_dir))
    (folder / OWNER).write_text(json.dumps(process_mark()))
    temporary = folder / "tmp"
    temporary.mkdir(mode=0o700)
    try:
        with (
            _stderr_shut(), _loopback_only(), _few_processes(), _signals_left_alone(),
            local_ray_environment(temporary),
        ):  # fmt: skip
            ray.init(**_local_options(settings, folder))
        yield
    finally:
        _shut_down()
        _remove(folder)
        wipe_abandoned(settings)  # processes of a killed run may have written while its folder was removed


def _shut_down() -> None:
    with _signals_left_alone():  # its C++ part sets the default, by which a signal ends the process at once
        ray.shutdown()


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Let the Ray that is started listen on 127.0.0.1 alone.

    Ray replaces a loopback address by the machine's own, unless it takes itself to be on a system where it
    makes no clusters; asking for ``_node_ip_address="127.0.0.1"`` has no effect (Ray 2.60).
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _signals_left_alone() -> Iterator[None]:
    """Keep Ray from taking SIGTERM: it would end its processes and this one in the middle of a commit.

    Ray sets a handler in Python and, below it, one in C++ that aborts the process three seconds after a
    signal, whatever Python's handler still has to do. Python's is put back on top of that.
    """
    before, timer = ray_utils.set_sigterm_handler, signal.getitimer(signal.ITIMER_REAL)
    ray_utils.set_sigterm_handler = lambda _: None
    try:
        yield
    finally:
        ray_utils.set_sigterm_handler = before
        if in_main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
            signal.setitimer(signal.ITIMER_REAL, *timer)  # a signal that came in between has set one


@contextlib.contextmanager
def _few_processes() -> Iterator[None]:
    """Start neither dashboard nor log monitor nor autoscaler: each is a process that no run needs.

    Even without a dashboard Ray 2.60 starts its process, for usage reports alone. Before it looks whether
    they are off it asks 169.254.169.254 and metadata.google.internal which cloud it is in, and no setting
    stops that. The log monitor reads what workers print, to publish it.
    """
    before = {name: getattr(Node, name) for name in NOT_STARTED}
    for name in NOT_STARTED:
        setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


def _start_nothing(node: Node, **_: object) -> None:
    """Stand in for a method of NOT_STARTED."""


@contextlib.contextmanager
def _stderr_shut() -> Iterator[None]:
    """Keep what Ray's C++ parts say while starting off the terminal; what goes wrong they raise."""
    saved = os.dup(2)
    with open(os.devnull, "w") as nothing:  # noqa: PTH123 (a device, not a path)
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def wipe_abandoned(settings: ClusterSettings) -> None:
    """Remove what killed runs left behind: their sessions may hold pixels."""
    for folder in Path(settings.temp_dir or tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        if _is_abandoned(folder):
            _remove(folder)


def _is_abandoned(folder: Path) -> bool:
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        if (folder / OWNER).exists():
            return is_dead(json.loads((folder / OWNER).read_text()))
        return _holds_a_session_only(folder) and time.time() - folder.stat().st_mtime > REMADE_SECONDS
    except (OSError, ValueError):  # another run is removing it, or has just made it
        return False


def _holds_a_session_only(folder: Path) -> bool:
    """Tell what dying processes of Ray make again after it was removed from any other folder."""
    sessions = [child.name for child in folder.glob("ray/*")]
    alone = [child.name for child in folder.iterdir()] == ["ray"]
    return alone and bool(sessions) and all(name.startswith("session_") for name in sessions)


def _remove(folder: Path) -> None:
    """Remove a session's folder, the mark last: so what a dying process writes meanwhile is found again."""
    with contextlib.suppress(OSError):  # another run removes it, too
        for child in folder.iterdir():
            if child.name != OWNER:
                shutil.rmtree(child, ignore_errors=True)
        if not {child.name for child in folder.iterdir()} - {OWNER}:
            (folder / OWNER).unlink(missing_ok=True)
            folder.rmdir()


def _local_options(settings: ClusterSettings, folder: Path) -> dict[str, Any]:
    cores = _machine_cores(settings)
    return {
        "address": "local",  # whatever RAY_ADDRESS says
        # detectors and decoders may fill the cores each: the operating system balances them better than a
        # fixed split, whichever of the two is the bottleneck
        "num_cpus": 2 * cores,
        "object_store_memory": settings.object_store or OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        # Ray opens the folder that it is given to everybody; the one around it stays the owner's
        "_temp_dir": str(folder / "ray"),
    }


def plan_resources(
    settings: ClusterSettings, device: str, weights_bytes: int = 0, precision: str = "auto"
) -> Resources:
    """Fill in what the configuration leaves open, from the connected cluster or this machine.

    device: ``auto``, ``cpu`` or ``cuda``. weights_bytes: size of the detector, which decides how it shares
    the cores of a machine without GPUs. Raises UsageError if GPUs are asked for and the cluster has none, or
    bf16 of a CPU that has no products for it.
    """
    gpus = _gpus()
    if device == "auto":
        device = "cuda" if gpus and settings.gpus_per_actor != 0 else "cpu"
    if device == "cuda" and not gpus:
        raise UsageError("device: cuda was asked for, but there is no GPU; use device: cpu or auto")
    if precision == "bf16" and not settings.address and not multiplies_bf16(torch.device(device)):
        raise UsageError("precision: bf16 was asked for, but this CPU has no bf16 products; use fp32")
    cores = _machine_cores(settings)
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
        cores=_cores(settings),
        actors=actors,
        max_actors=settings.max_actors or actors,
        gpus_per_actor=share,
        cpus_per_actor=settings.cpus_per_actor
        or (SHARED_CPU if settings.address and device == "cpu" else 1.0),
        threads=None if device == "cuda" else max(1, cores // actors),
        decode_tasks=settings.decode_tasks or (None if settings.address else cores),
        calls_per_actor=2 if device == "cuda" else 1,
    )


def check_shared(paths: list[Path]) -> None:
    """Raise ValueError, naming node and path, unless every node of the cluster sees these paths."""
    # Ray's annotations do not know functions with options
    remote: Any = ray.remote(num_cpus=0)(_absent)
    names = [str(path.absolute()) for path in paths]
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            missing = ray.get(remote.options(scheduling_strategy=there).remote(names))
            if missing:
                raise ValueError(
                    f"node {node['NodeManagerAddress']} of the cluster does not see {missing[0]}: "
                    "bundle and private_dir must lie on storage that all nodes share"
                )


def _absent(names: list[str]) -> list[str]:
    return [name for name in names if not Path(name).exists()]


def _cores(settings: ClusterSettings) -> int:
    if ray.is_initialized():
        return max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    return _machine_cores(settings)


def _machine_cores(settings: ClusterSettings) -> int:
    return settings.workers or os.cpu_count() or 1


def _gpus() -> float:
    if ray.is_initialized():
        return float(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    return torch.cuda.device_count()
