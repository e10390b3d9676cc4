"""A Ray node in a mount namespace of its own, where folders of the driver are empty.

Processes, network and installed programs are those of this machine.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.robustness.processes import kill
from tests.support.s3server import free_port

RAY = Path(sys.executable).with_name("ray")
PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port")


def can_separate() -> bool:
    """Tell whether this account may make mount namespaces, by itself or as root of a user namespace."""
    return shutil.which("unshare") is not None and _unshared(["true"], [], {}).wait() == 0


@contextlib.contextmanager
def separate_node(
    address: str, hidden: list[Path], home: Path, environment: dict[str, str]
) -> Iterator["SeparateNode"]:
    """Join the cluster at an address with two CPUs.

    hidden: folders that exist, in whose place the node has empty ones of its own. home: in one of these, its
    home and place for temporary files.
    """
    own = environment | {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    ports = [f"--{name}={free_port()}" for name in PORTS]
    command = [
        str(RAY), "start", "--block", f"--address={address}", "--num-cpus=2",
        "--object-store-memory=200000000", "--disable-usage-stats", *ports,
    ]  # fmt: skip
    # once more: Ray gives a node up that was not there in time, as on a crowded machine
    process = _unshared(["sh", "-c", f'mkdir -p "{home}" && ("$0" "$@" || "$0" "$@")', *command], hidden, own)
    try:
        yield SeparateNode(process)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).children(recursive=True)
            process.kill()  # first: it would start the node once more
            for one in started:
                kill(one)
        process.wait()


class SeparateNode:
    """A node that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def said(self) -> str:
        """Return what it said, if it has ended; "" while it runs."""
        if self._process.poll() is None:
            return ""
        assert self._process.stdout is not None
        return self._process.stdout.read()

    def files(self, folder: Path) -> list[str]:
        """Return the files that this node has below a folder."""
        found = subprocess.run(
            ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", "find", str(folder), "-type", "f"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return found.stdout.splitlines()


def _unshared(command: list[str], hidden: list[Path], environment: dict[str, str]) -> subprocess.Popen[str]:
    mounts = " && ".join([f'mount -t tmpfs -o mode=700 tmpfs "{path}"' for path in hidden] or ["true"])
    whole = [
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        f'{mounts} && exec "$0" "$@"',
        *command,
    ]
    return subprocess.Popen(
        whole, env=os.environ | environment, text=True, cwd="/",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
