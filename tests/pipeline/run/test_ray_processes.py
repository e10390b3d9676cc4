"""Whatever a Ray leaves running is ended before its folder is wiped."""

import os
import subprocess
import sys
from pathlib import Path

from s2sw.pipeline.run.ray_processes import end_orphans, none_left

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
child.wait()
"""
RUN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
print(child.pid, flush=True)
child.wait()
"""


def started(*words: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that starts another one. Returns it and the other one's folder of proc(5)."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    return parent, Path("/proc", parent.stdout.readline().strip())


def runs(process: Path) -> bool:
    status = process / "stat"
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_belongs_to_a_session_is_ended_and_nothing_else(tmp_path: Path) -> None:
    ours, below = started(f"--session-dir={tmp_path}/ray")
    other, below_other = started(f"--session-dir={tmp_path.with_name('another')}")
    with other, ours:
        with none_left(tmp_path):
            assert runs(below)
        assert not runs(below)
        assert ours.wait() < 0
        assert runs(below_other)
        other.kill()


def test_what_a_killed_run_left_running_is_ended(tmp_path: Path) -> None:
    """Processes of Ray, and its workers, which no option tells; not what looks at the session's files."""
    ray, below = orphan(f"--session-dir={tmp_path}/ray")
    worker, _ = orphan(folder=f"{tmp_path}/tmp")
    reader, below_reader = started(f"{tmp_path}/ray/raylet.log")
    with reader:
        assert all(runs(process) for process in (ray, below, worker))
        end_orphans(tmp_path)
        assert not any(runs(process) for process in (ray, below, worker))
        assert runs(below_reader)
        reader.kill()


def orphan(*words: str, folder: str = "") -> tuple[Path, Path]:
    """Start a process, with temporary files in a folder, that starts another one; kill what started it."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, PARENT, *words],
        stdout=subprocess.PIPE, text=True, env=os.environ | ({"TMPDIR": folder} if folder else {}),
    )  # fmt: skip
    with run:
        assert run.stdout is not None
        numbers = [run.stdout.readline().strip() for _ in range(2)]
        run.kill()
    return Path("/proc", numbers[0]), Path("/proc", numbers[1])
