"""Modules of a user's in the directory of a node, or of a submitted job, are not taken for ours."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2sw.pipeline.run.ray_environment import FIXED
from tests.robustness import accounts
from tests.robustness.processes import job_file, processes_of, until
from tests.support.archives import encoded, texture
from tests.support.commands import COMMAND
from tests.support.shadows import OURS, shadows

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

RAY = Path(sys.executable).with_name("ray")
PORT, DASHBOARD = 26379, 28265
PICTURES = 6
NOT_YET = "No available agent"
OLD = OURS[:-1]
"""What Ray puts on PYTHONPATH comes before everything installed: a module called s2sw there is in the way."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(PICTURES):
        (folder / f"{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    return folder


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """A head started with ``ray start`` in a directory with modules, and what its clients need to know.

    Modules of ours alone: Ray's own dashboard does not survive others.
    """
    with tempfile.TemporaryDirectory(prefix="s2", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        token = folder / "token"
        token.write_text("a" * 64)
        env = os.environ | FIXED | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "HOME": name, "PATH": _path(),
        }  # fmt: skip
        head = [
            RAY, "start", "--head", f"--port={PORT}", f"--dashboard-port={DASHBOARD}", "--num-cpus=2",
            "--dashboard-host=127.0.0.1", "--include-dashboard=true", f"--temp-dir={folder / 'ray'}",
            "--object-store-memory=200000000", "--disable-usage-stats",
        ]  # fmt: skip
        try:
            started = subprocess.run(
                head, cwd=shadows(folder / "node", OURS), env=env, capture_output=True, text=True, check=False
            )
            assert started.returncode == 0, started.stdout + started.stderr
            yield env
        finally:
            subprocess.run([RAY, "stop", "--force"], env=env, capture_output=True, check=False)
            until(lambda: not processes_of(folder), "the end of the cluster", seconds=120)


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def test_nodes_and_jobs_in_directories_full_of_modules(
    environment: dict[str, str], source: Path, bundle: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / "driven", tmp_path / "submitted"]
    for output in outputs:
        output.mkdir()
        job_file(
            output, source=str(source), output=str(output / "results"), mode="open", bundle=str(bundle),
            private_dir=str(output / "private"), cluster={"address": f"127.0.0.1:{PORT}", "workers": 1},
        )  # fmt: skip
    driven, submitted = ([str(COMMAND), "screen", str(output / "job.yaml")] for output in outputs)
    submit = [
        str(RAY), "job", "submit", f"--address=http://127.0.0.1:{DASHBOARD}",
        f"--working-dir={shadows(tmp_path / 'uploaded', OLD)}", "--", *submitted,
    ]  # fmt: skip
    for output, command in zip(outputs, (driven, submit), strict=True):
        here, said = shadows(output / "here"), [NOT_YET]

        def ended(command: list[str] = command, here: Path = here, said: list[str] = said) -> bool:
            done = subprocess.run(
                command, cwd=here, env=environment, capture_output=True, text=True, check=False
            )
            said[:] = [done.stdout + done.stderr]
            return done.returncode == 0 or NOT_YET not in said[0]

        until(ended, "the agent that takes jobs", seconds=120)
        ends = accounts.ends(str(output / "results"))
        assert [status for status, _ in ends.values()] == ["screened"] * PICTURES, said
