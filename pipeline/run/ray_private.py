"""Parts of Ray that only patches can change, for Ray 2.60; each says why and what it replaces."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

from ray._private import ray_constants, services
from ray._private import utils as ray_utils
from ray._private import worker as ray_worker
from ray._private.node import Node
from ray.data._internal.execution import streaming_executor_state
from ray.job_config import JobConfig

from s2sw.pipeline.run.executor import words_of
from s2sw.pipeline.run.interruption import in_main_thread

NOT_STARTED = ("start_api_server", "start_log_monitor", "start_monitor")
AGENTS = (ray_constants.PROCESS_TYPE_DASHBOARD_AGENT, ray_constants.PROCESS_TYPE_RUNTIME_ENV_AGENT)
STAND_IN = Path(__file__).with_name("ray_agent.py")


@contextlib.contextmanager
def loopback_only() -> Iterator[None]:
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
def signals_left_alone() -> Iterator[None]:
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
def few_processes() -> Iterator[None]:
    """Start neither dashboard nor log monitor nor autoscaler nor agents: processes that no run needs.

    Even without a dashboard Ray 2.60 starts its process, for usage reports alone. Before it looks whether
    they are off it asks 169.254.169.254 and metadata.google.internal which cloud it is in, and no setting
    stops that. The log monitor reads what workers print, to publish it. A raylet insists on its two agents,
    which took half of the processor time of Ray's start; one of them runs commands for whoever has the token.
    """
    build = services._build_python_executable_command_memory_profileable

    def python(component: str, *arguments: object, **options: object) -> list[str]:
        if component in AGENTS:
            # the stand-in needs nothing of what is installed
            return [sys.executable, "-I", "-S", str(STAND_IN)]
        command: list[str] = build(component, *arguments, **options)  # type: ignore[arg-type]
        return command

    with contextlib.ExitStack() as stack:
        for name in NOT_STARTED:
            stack.enter_context(patch.object(Node, name, _start_nothing))
        stack.enter_context(patch.object(services, build.__name__, python))
        yield


def _start_nothing(node: Node, **_: object) -> None:
    """Stand in for a method of NOT_STARTED."""


@contextlib.contextmanager
def stderr_shut() -> Iterator[None]:
    """Keep what Ray's C++ parts say while starting off the terminal; what goes wrong they raise."""
    saved = os.dup(2)
    with open(os.devnull, "w") as nothing:  # noqa: PTH123 (a device, not a path)
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextlib.contextmanager
def raylet_unsaid() -> Iterator[None]:
    """Keep what raylets tell drivers of dead workers off the terminal: the run accounts for it in its words.

    Ray 2.60 prints it in colours to standard output, whatever ``log_to_driver`` says.
    """
    before = ray_worker.print_to_stdstream
    ray_worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = before


@contextlib.contextmanager
def lost_blocks(lost: Callable[[str], None]) -> Iterator[None]:
    """Tell of every block that Ray Data gives up, with the cause in our own words.

    Ray Data only logs it (``streaming_executor_state``, Ray 2.60), with the exception. What ``lost`` raises
    ends the execution.
    """
    logger = streaming_executor_state.logger
    before = logger.error

    def error(message: str, *arguments: object, exc_info: object = None, **options: object) -> None:
        if isinstance(exc_info, BaseException):
            lost(words_of(exc_info))

    logger.error = error  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        logger.error = before  # type: ignore[method-assign]


class IsolatedJobConfig(JobConfig):
    """Keeps the driver's folder off the path on which workers look for modules.

    Ray 2.60 puts the working directory of the driver, and the folder of its script, first on the path of
    every worker (``ray._private.worker.connect``): a user's own ``random.py`` there would be imported instead
    of Python's. It leaves them out where the job has a working directory of its own.
    """

    def _runtime_env_has_working_dir(self) -> bool:
        return True
