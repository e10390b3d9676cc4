"""A Ray to run on: one started here with nothing listening outside, or a cluster's."""

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from s2sw.pipeline.ledger.process_mark import is_dead, process_mark
from s2sw.pipeline.privacy.environment import local_ray_environment
from s2sw.pipeline.run.ray_private import few_processes, loopback_only, signals_left_alone, stderr_shut
from s2sw.pipeline.run.resources import machine_cores
from s2sw.schemas.config import ClusterSettings

OBJECT_STORE_BYTES = 2 << 30
FOLDER_PREFIX = "s2sw-"
OWNER = "owner.json"
REMADE_SECONDS = 10.0
"""A folder that is so old and has no owner is not being made."""


@contextlib.contextmanager
def ray_session(settings: ClusterSettings) -> Iterator[None]:
    """Connect to the configured cluster, or start a Ray on this machine and end it afterwards.

    Its session folder (logs, sockets, temporary files, spilled blocks) is readable by the owner only and
    removed at the end.
    """
    if settings.address:
        with signals_left_alone():
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
            stderr_shut(), loopback_only(), few_processes(), signals_left_alone(),
            local_ray_environment(temporary),
        ):  # fmt: skip
            ray.init(**_local_options(settings, folder))
        yield
    finally:
        _shut_down()
        _remove(folder)
        wipe_abandoned(settings)  # processes of a killed run may have written while its folder was removed


def _shut_down() -> None:
    with signals_left_alone():  # its C++ part sets the default, by which a signal ends the process at once
        ray.shutdown()


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
    cores = machine_cores(settings)
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
