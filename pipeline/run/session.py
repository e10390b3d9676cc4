"""A Ray to run on: one started here with nothing listening outside, or a cluster's."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from s2sw.pipeline.privacy.environment import local_ray_environment
from s2sw.pipeline.run.cluster_address import cluster_address
from s2sw.pipeline.run.ray_private import few_processes, loopback_only, signals_left_alone, stderr_shut
from s2sw.pipeline.run.ray_token import check_cluster, check_own, new_token, token_read_anew
from s2sw.pipeline.run.resources import machine_cores
from s2sw.pipeline.run.session_folder import new_session_folder, remove_session_folder, wipe_folders
from s2sw.schemas.config import ClusterSettings

OBJECT_STORE_BYTES = 2 << 30


@contextlib.contextmanager
def ray_session(settings: ClusterSettings, private: bool = True) -> Iterator[None]:
    """Connect to the configured cluster, or start a Ray on this machine and end it afterwards.

    Its session folder (logs, sockets, temporary files, spilled blocks) is readable by the owner only and
    removed at the end; it asks everybody for a token that lies there. Raises UserError in private mode for a
    cluster that asks for none.
    """
    if settings.address:
        with signals_left_alone():
            ray.init(
                address=cluster_address(settings.address), log_to_driver=False, logging_level=logging.ERROR
            )
        try:
            check_cluster(private, settings.allow_without_token)
            yield
        finally:
            _shut_down()
        return
    wipe_abandoned(settings)
    folder = new_session_folder(settings.temp_dir)
    temporary = folder / "tmp"
    temporary.mkdir(mode=0o700)
    stack = contextlib.ExitStack()
    try:
        with (
            stderr_shut(), loopback_only(), few_processes(), signals_left_alone(),
            local_ray_environment(temporary, new_token(folder)),
        ):  # fmt: skip
            stack.enter_context(token_read_anew())
            ray.init(**_local_options(settings, folder))
        check_own()
        yield
    finally:
        _shut_down()
        stack.close()
        remove_session_folder(folder)
        wipe_abandoned(settings)  # processes of a killed run may have written while its folder was removed


def _shut_down() -> None:
    with signals_left_alone():  # its C++ part sets the default, by which a signal ends the process at once
        ray.shutdown()


def wipe_abandoned(settings: ClusterSettings) -> None:
    """Remove what killed runs left behind: their sessions may hold pixels."""
    wipe_folders(settings.temp_dir)


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
