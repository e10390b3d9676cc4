"""A Ray head as ``ray start`` makes one, with a token and a job server."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from s2sw.pipeline.run.ray_environment import FIXED
from tests.robustness.processes import kill_all_of, processes_of, until

RAY = Path(sys.executable).with_name("ray")
PORT, DASHBOARD = 26379, 28265
TOKEN = "a" * 64


@dataclass(frozen=True)
class RayHead:
    """environment: what its clients need. address: of the cluster; jobs: of its job server.

    folder: its clients' home and all that it writes.
    """

    environment: dict[str, str]
    folder: Path
    address: str = f"127.0.0.1:{PORT}"
    jobs: str = f"http://127.0.0.1:{DASHBOARD}"


@contextmanager
def ray_head(directory: Path | None = None, cpus: int = 2) -> Iterator[RayHead]:
    """Start a head. directory: the one that its processes work in."""
    with tempfile.TemporaryDirectory(prefix="s2", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        token = folder / "token"
        token.write_text(TOKEN)
        env = os.environ | FIXED | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "HOME": name,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        command = [
            RAY, "start", "--head", f"--port={PORT}", f"--dashboard-port={DASHBOARD}", f"--num-cpus={cpus}",
            "--dashboard-host=127.0.0.1", "--include-dashboard=true", f"--temp-dir={folder / 'ray'}",
            "--object-store-memory=200000000", "--disable-usage-stats",
        ]  # fmt: skip
        try:
            started = subprocess.run(
                command, cwd=directory or folder, env=env, capture_output=True, text=True, check=False
            )
            assert started.returncode == 0, started.stdout + started.stderr
            yield RayHead(env, folder)
        finally:
            # `ray stop` would end every Ray of the machine
            kill_all_of(folder)
            until(lambda: not processes_of(folder), "the end of the cluster", seconds=120)
