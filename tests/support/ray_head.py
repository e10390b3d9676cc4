"""A Ray head as ``ray start`` makes one, with a token and a job server."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from s2sw.pipeline.run.ray_environment import FIXED
from s2sw.pipeline.run.session import TOO_LATE
from tests.robustness.processes import kill, until
from tests.support.s3server import free_port

RAY = Path(sys.executable).with_name("ray")
TOKEN = "a" * 64


@dataclass(frozen=True)
class RayHead:
    """environment: what its clients need. address: of the cluster; jobs: of its job server.

    folder: its clients' home and all that it writes.
    """

    environment: dict[str, str]
    folder: Path
    address: str
    jobs: str

    def kill(self) -> None:
        """End all of it at once, as a machine that loses its power."""
        until(lambda: not _killed(str(self.folder)), "the end of the cluster", seconds=120)


@contextlib.contextmanager
def ray_head(directory: Path | None = None, cpus: int = 2) -> Iterator[RayHead]:
    """Start a head. directory: the one that its processes work in."""
    with tempfile.TemporaryDirectory(prefix="s2", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        token = folder / "token"
        token.write_text(TOKEN)
        env = os.environ | FIXED | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "HOME": name,
            "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "300",  # a crowded machine needs more than a minute
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        port, dashboard, agent = (free_port() for _ in range(3))
        command = [
            str(RAY), "start", "--head", f"--port={port}", f"--dashboard-port={dashboard}",
            f"--num-cpus={cpus}", "--dashboard-host=127.0.0.1", "--include-dashboard=true",
            f"--temp-dir={folder / 'ray'}", f"--dashboard-agent-listen-port={agent}",
            f"--ray-client-server-port={free_port()}",
            "--object-store-memory=200000000", "--disable-usage-stats",
        ]  # fmt: skip
        head = RayHead(env, folder, f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}")
        try:
            started = _run(command, directory or folder, env)
            if TOO_LATE in started.stderr:
                head.kill()
                started = _run(command, directory or folder, env)
            assert started.returncode == 0, started.stdout + started.stderr
            yield head
        finally:
            head.kill()  # `ray stop` would end every Ray of the machine


def _run(command: list[str], directory: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)


def _killed(home: str) -> int:
    """Send SIGKILL to all that lives in a home; return how many there were."""
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("HOME") == home and process.status() != psutil.STATUS_ZOMBIE:
                count += kill(process)
    return count
