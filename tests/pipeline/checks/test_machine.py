"""The least of what a machine has and of what its limits allow."""

from pathlib import Path

import pytest

from s2sw.pipeline.checks.machine import Limits, limits

GIB = 1 << 30
MEMINFO = "MemTotal: 33554432 kB\nMemFree: 1 kB\nMemAvailable: 16777216 kB\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def found(machine: Path) -> Limits:
    return limits(machine / "cgroup", machine / "proc")


def test_without_cgroups_it_is_the_machines(machine: Path) -> None:
    assert found(machine).memory == 16 * GIB
    assert found(machine).cores >= 1


def test_version_2_with_a_tighter_limit_further_up(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/night.slice/job.scope\n")
    root = machine / "cgroup"
    write(
        root / "night.slice/job.scope", memory__max="max\n", memory__current=f"{GIB}", cpu__max="50000 100000"
    )
    write(
        root / "night.slice", memory__max=f"{3 * GIB}", memory__current=f"{2 * GIB}",
        memory__stat=f"anon 1\ninactive_file {GIB // 2}\n", pids__max="100", pids__current="40",
        cpu__max="max 100000",
    )  # fmt: skip
    here = found(machine)
    assert here.memory == GIB + GIB // 2, "file caches are given back"
    assert (here.cores, here.processes) == (1, 60)


def test_version_1(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("3:cpu,cpuacct:/job\n2:memory:/job\n1:pids:/\n")
    root = machine / "cgroup"
    write(
        root / "memory/job", memory__limit_in_bytes=f"{2 * GIB}", memory__usage_in_bytes=f"{GIB}",
        memory__stat="total_inactive_file 0\n",
    )  # fmt: skip
    write(root / "memory", memory__limit_in_bytes=f"{(1 << 63) - 4096}", memory__usage_in_bytes="5")
    write(root / "cpu/job", cpu__cfs_quota_us="100000\n", cpu__cfs_period_us="100000\n")
    here = found(machine)
    assert (here.memory, here.cores) == (GIB, 1)


def test_files_that_say_nothing_sensible_are_no_limit(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/\n")
    write(machine / "cgroup", memory__max="", memory__current="x", cpu__max="1", pids__max="-")
    assert found(machine).memory == 16 * GIB
