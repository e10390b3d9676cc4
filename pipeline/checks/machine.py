"""What this machine gives to a process: the least of what is there and of what its limits allow."""

import contextlib
import math
import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PROC = Path("/proc")
GIB = 1 << 30
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (looked at, not written to)


@dataclass(frozen=True)
class Limits:
    """What a process may use. None: not limited, or not known on this system.

    memory: bytes that are free or can be freed; cores: CPUs, rounded up; processes: that may still be started
    by this user or container; files: that one process may open; shared_memory: free bytes of /dev/shm.
    """

    memory: int | None
    cores: int
    processes: int | None
    files: int
    shared_memory: int | None


def limits(cgroup: Path = CGROUP, proc: Path = PROC) -> Limits:
    """Return what this process may use, cgroups (version 1 and 2) and resource limits included."""
    own = _own_cgroups(cgroup, proc)
    return Limits(
        memory=_least(_free_memory(proc), *(_free_of_cgroup(folder) for folder in own)),
        cores=max(1, min(_affinity(), *(_quota(folder) for folder in own)) if own else _affinity()),
        processes=_least(_free_processes(proc), *(_free_pids(folder) for folder in own)),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        shared_memory=free_bytes(SHARED_MEMORY),
    )


def allow_open_files() -> None:
    """Raise this process's limit of open files to what it may be raised to."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def free_bytes(folder: Path) -> int | None:
    """Return how many bytes a folder's file system still takes; None where that is not known."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _own_cgroups(cgroup: Path, proc: Path) -> list[Path]:
    """Return the folders of this process's cgroup and of those around it: the least of their limits holds."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for root in [cgroup, *(cgroup / name for name in controllers.split(",") if name)]:
            here = root / path.lstrip("/")
            found += [
                folder for folder in (here, *here.parents) if folder.is_relative_to(root) and folder.is_dir()
            ]
    return list(dict.fromkeys(found))


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is none, or a word or a number that means no limit."""
    try:
        value = int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return None if value >= 1 << 60 else value


def _free_memory(proc: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _free_of_cgroup(folder: Path) -> int | None:
    for most, used, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, taken = _number(folder / most), _number(folder / used)
        if limit is not None and taken is not None:
            return max(0, limit - taken + _statistic(folder / "memory.stat", cache))
    return None


def _statistic(path: Path, name: str) -> int:
    """Return a line of memory.stat: file caches are given back when memory is needed."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _affinity() -> int:
    return len(os.sched_getaffinity(0))


def _quota(folder: Path) -> int:
    """Return the CPUs that a cgroup's quota comes to; all of them without one."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if int(quota) > 0:
            return max(1, math.ceil(int(quota) / int(period)))
    return _affinity()


def _free_pids(folder: Path) -> int | None:
    limit, taken = _number(folder / "pids.max"), _number(folder / "pids.current")
    return None if limit is None or taken is None else max(0, limit - taken)


def _free_processes(proc: Path) -> int | None:
    """Return how many processes and threads this user may still start (ulimit -u); root may any number."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if limit == resource.RLIM_INFINITY or os.geteuid() == 0:
        return None
    mine = 0
    for status in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if status.stat().st_uid == os.geteuid():
                mine += sum(1 for _ in (status / "task").iterdir())
    return max(0, limit - mine)


def _least(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return min(known) if known else None
