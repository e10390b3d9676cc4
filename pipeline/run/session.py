"""A Ray to run on: one started here with nothing listening outside, or a cluster's."""

import contextlib
import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from s2sw.pipeline.checks.needs import OBJECTS
from s2sw.pipeline.privacy.environment import local_environment
from s2sw.pipeline.run.cluster_address import cluster_address
from s2sw.pipeline.run.executor import RunFailedError
from s2sw.pipeline.run.ray_environment import check_variables
from s2sw.pipeline.run.ray_private import (
    IsolatedJobConfig,
    few_processes,
    loopback_only,
    raylet_unsaid,
    signals_left_alone,
    stderr_shut,
)
from s2sw.pipeline.run.ray_processes import none_left
from s2sw.pipeline.run.ray_token import check_cluster, check_own, token_environment, token_read_anew
from s2sw.pipeline.run.resources import machine_cores
from s2sw.pipeline.run.session_folder import session_folder, temporary_in
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import FailedError, UserError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
TOO_LATE = "timed out during startup"
"""What Ray says where its own processes did not answer for half a minute."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@contextlib.contextmanager
def started(settings: ClusterSettings, private: bool = True) -> Iterator[None]:
    """As ``ray_session``; whatever keeps Ray from starting is a RunFailedError, in one line that says why."""
    check_variables()
    with contextlib.ExitStack() as stack:
        try:
            _enter(stack, settings, private)
        except (UserError, FailedError):
            raise
        except Exception as error:
            where = f"the cluster at {settings.address}" if settings.address else "Ray on this machine"
            raise RunFailedError(f"{where} cannot be used: {_cause(error)}") from error
        yield


def _enter(stack: contextlib.ExitStack, settings: ClusterSettings, private: bool) -> None:
    """Start or connect; once more where a Ray of ours was too late: the machine may have slept meanwhile."""
    try:
        stack.enter_context(ray_session(settings, private))
    except Exception as error:
        if settings.address or TOO_LATE not in str(error):
            raise
        log.warning("Ray did not start in time; starting it again")
        stack.enter_context(ray_session(settings, private))


def _cause(error: Exception) -> str:
    """Return why Ray did not start, in one line; its messages name addresses and settings, no objects."""
    if isinstance(error, ray.exceptions.AuthenticationError):
        return (
            "it wants a token; give it by RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (`ray get-auth-token` there)"
        )
    text = " ".join(_COLOURS.sub("", str(error)).split())
    first = text.split(". ")[0]
    return f"{first or type(error).__name__}; `s2sw doctor` checks what it needs"


def check_answers(address: str) -> None:
    """Raise RunFailedError soon where nobody listens at a cluster's address; Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():  # "auto", or a name that Ray resolves itself
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "no answer"
        raise RunFailedError(
            f"cluster.address: nobody answers at {address} ({why}); check it and the head node"
        ) from None


@contextlib.contextmanager
def ray_session(settings: ClusterSettings, private: bool = True) -> Iterator[None]:
    """Connect to the configured cluster, or start a Ray on this machine and end it afterwards.

    Its session folder (logs, sockets, temporary files, spilled blocks) is readable by the owner only and
    removed at the end; it asks everybody for a token that lies there. Raises UserError in private mode for a
    cluster that asks for none.
    """
    connected = _cluster_session(settings, private) if settings.address else _own_session(settings)
    with connected, raylet_unsaid():
        yield


@contextlib.contextmanager
def _cluster_session(settings: ClusterSettings, private: bool) -> Iterator[None]:
    address = cluster_address(str(settings.address))
    check_answers(address)
    with signals_left_alone():
        ray.init(
            address=address, job_config=IsolatedJobConfig(), log_to_driver=False, logging_level=logging.ERROR
        )
    try:
        check_cluster(private, settings.allow_without_token)
        yield
    finally:
        _shut_down()


@contextlib.contextmanager
def _own_session(settings: ClusterSettings) -> Iterator[None]:
    # the token is forgotten last: Ray asks for it while it ends
    with session_folder(settings) as folder, contextlib.ExitStack() as stack:
        try:
            with (
                stderr_shut(), loopback_only(), few_processes(), signals_left_alone(),
                local_environment(temporary_in(folder), token_environment(folder)),
            ):  # fmt: skip
                stack.enter_context(token_read_anew())
                ray.init(**_local_options(settings, folder))
            check_own()
            yield
        finally:
            with none_left(folder):
                _shut_down()


def _shut_down() -> None:
    with signals_left_alone():  # its C++ part sets the default, by which a signal ends the process at once
        ray.shutdown()


def _local_options(settings: ClusterSettings, folder: Path) -> dict[str, Any]:
    cores = machine_cores(settings)
    return {
        "address": "local",  # whatever RAY_ADDRESS says
        "job_config": IsolatedJobConfig(),
        # detectors and decoders may fill the cores each: the operating system balances them better than a
        # fixed split, whichever of the two is the bottleneck
        "num_cpus": 2 * cores,
        "object_store_memory": settings.object_store or OBJECTS,
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
                    "put it on S3, or on storage that all nodes share"
                )


def _absent(names: list[str]) -> list[str]:
    return [name for name in names if not Path(name).exists()]
