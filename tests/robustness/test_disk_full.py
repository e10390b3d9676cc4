"""A disk that fills up: one line, nothing half written, and the same command goes on when there is space."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.robustness.conftest import Archive, Undisturbed
from tests.robustness.processes import job_file, screening
from tests.support.commands import s2sw_here

pytestmark = pytest.mark.integration

SMALL, LARGE = "96k", "64m"
SMALL_PARTS = {"rows": 24}  # ten parts and more, of which the small disk holds a few


def mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, f"size={SMALL}"):
        pytest.skip("mounting a small tmpfs needs a privilege that these tests do not have here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_more_space_lets_it_go_on(
    job: Path, small_disk: Path, archive: Archive, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    output = str(small_disk / "results")
    job = job_file(tmp_path, job, output=output, parts=SMALL_PARTS)
    with screening(job, "--quiet") as run:
        assert run.wait() == 1, run.stderr
    (line,) = run.stderr.splitlines()
    assert line == "s2sw: the run failed: No space left on device; to continue, give the same command again"
    assert 0 < accounts.committed(output) < len(archive.slices)
    accounts.assert_readable(output)

    assert mount(small_disk, f"remount,size={LARGE}")
    done = s2sw_here("screen", job_file(tmp_path, job, cluster={"workers": 1}), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accounts.assert_each_once(output, archive.slices)
    assert accounts.scores(output) == pytest.approx(undisturbed.scores, abs=1e-6)
