"""Programs of users in environments of their own, filled by ``make test-clients``; tests skip without."""

import subprocess
from pathlib import Path

import pytest

SECONDS = 480
"""For what a program says: Spark alone takes minutes to start on a busy machine."""
CLIENTS = Path(__file__).parents[2] / ".clients"


def program(name: str, command: str = "python") -> Path:
    """Return a command of an environment; skips the test that asks where it is not installed."""
    path = CLIENTS / name / "bin" / command
    if not path.exists():
        pytest.skip(f"{name} is not installed: make test-clients")
    return path


def answer_of(name: str, script: Path, *arguments: str | Path) -> str:
    """Return what a script says in a program's own Python, which knows nothing of s2sw."""
    done = subprocess.run(
        [program(name), "-I", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
