"""Naming a process so that another one can tell whether it still lives."""

import os
import socket
from pathlib import Path

_PIDS = Path("/proc/self/ns/pid")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def process_mark(pid: int | None = None) -> dict[str, str | int]:
    """Return host, boot, pid namespace, pid and start time of a process of this machine (default: this one).

    A pid alone is not enough: it is used again, and it means nothing on another host, in another container
    (which may share the host's name) or after a boot.
    """
    pid = os.getpid() if pid is None else pid
    mark = {"host": socket.gethostname(), "boot": _boot(), "namespace": _namespace()}
    return {**mark, "pid": pid, "start": _start(pid)}


def is_dead(mark: dict[str, str | int]) -> bool:
    """Tell whether the process is known to be gone; False where nobody can know (another host, container)."""
    here = process_mark()
    if mark.get("host") != here["host"] or not mark.get("start"):
        return False
    if mark.get("boot") != here["boot"]:
        return True
    if mark.get("namespace") != here["namespace"]:
        return False
    return _start(int(mark["pid"])) != mark["start"]


def _boot() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def _namespace() -> str:
    return str(_PIDS.readlink()) if _PIDS.is_symlink() else ""


def _start(pid: int) -> str:
    """Return when the process started, in clock ticks since boot (proc(5), field 22), "" if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # the name in field 2 may hold spaces and brackets: count from the last bracket
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
