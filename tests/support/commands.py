"""The command line as users meet it: a process of its own, or the application within this one."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.results.reading import Results, open_results
from s2sw.schemas.tables import Row
from tests.support.process import restored

COMMAND = Path(sys.executable).with_name("s2sw")
SECONDS = 600  # a guard against a hang, not a goal
RAY = {"ray_from": 1, "object_store": 200 << 20}
"""Settings of ``cluster`` that start a Ray for a small archive, too."""


@dataclass(frozen=True)
class Run:
    """One finished ``s2sw screen`` and where it wrote."""

    code: int
    stdout: str
    stderr: str
    output: str
    private: Path

    @property
    def results(self) -> Results:
        """What lies in the output now."""
        return open_results(self.output)

    def objects(self) -> list[Row]:
        """All rows of the table of objects."""
        rows: list[Row] = self.results.objects().to_pylist()
        return rows

    def slices(self) -> list[Row]:
        """All rows of the table of slices."""
        rows: list[Row] = self.results.slices().to_pylist()
        return rows


def s2sw(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command away from the source tree."""
    command = [str(COMMAND), *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def s2sw_here(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the application within this process, which has its libraries already."""
    with contextlib.chdir(cwd), restored():
        done = CliRunner().invoke(app, [*map(str, arguments)])
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def screen(
    folder: Path,
    source: str | Path,
    output: str,
    *options: str,
    cwd: Path | None = None,
    here: bool | None = None,
    **job: Any,
) -> Run:
    """Screen on one core, which is quick while others are busy.

    Keys of a job file come by name; the private folder lies in ``folder``. cwd: default: ``folder``. here:
    within this process, which has PyTorch already; default: unless it starts a Ray.
    """
    private = folder / "private"
    values = {
        "source": str(source),
        "output": output,
        "private_dir": str(private),
        "batch_size": 4,
        "profile": "none",  # tests of profiles ask for one
        "precision": "fp32",  # the same on every processor
        "cluster": {"workers": 1},
    }
    path = folder / "job.yaml"
    values |= job
    path.write_text(yaml.safe_dump(values))
    if here is None:
        here = "ray_from" not in values["cluster"]
    done = (s2sw_here if here else s2sw)("screen", path, *options, cwd=cwd or folder)
    return Run(done.returncode, done.stdout, done.stderr, output, private)
