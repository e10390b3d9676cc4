"""Whatever a Ray leaves running is ended before its folder is wiped."""

import subprocess
import sys
from pathlib import Path

from s2sw.pipeline.run.ray_processes import none_left

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
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
