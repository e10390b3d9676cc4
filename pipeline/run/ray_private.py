"""Parts of Ray that only patches can change, for Ray 2.60."""

import contextlib
import os
import signal
from collections.abc import Iterator

from ray._private import ray_constants
from ray._private import utils as ray_utils
from ray._private.node import Node

from s2sw.pipeline.run.interruption import in_main_thread

NOT_STARTED = ("start_api_server", "start_log_monitor", "start_monitor")


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
