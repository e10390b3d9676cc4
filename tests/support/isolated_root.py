"""Commands in a root file system of their own, as a container has it (namespaces, chroot; for root)."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

_MOUNTS = """
set -e
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"
"""
_ENTER = 'cd "$0" && exec "$@"'


@dataclass(frozen=True)
class Within:
    """How a command sees its root.

    user: uid:gid. network: that of this machine; without it there is the loopback interface alone.
    read_only: but for what is mounted. empty: folders that are there anew and writable. binds: folders of
    this machine, by place; those in ``writable`` may be written.
    """

    root: Path
    user: str = "0:0"
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    read_only: bool = False
    empty: Sequence[str] = ()
    binds: Mapping[str, Path] = field(default_factory=dict)
    writable: Sequence[str] = ()

    def run(self, command: Sequence[str], **options: object) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; nothing of it stays. options: as of ``subprocess.run``."""
        for place in (*self.empty, *self.binds):
            Path(f"{self.root}{place}").mkdir(parents=True, exist_ok=True)
        whole = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--ipc"]
        whole += [] if self.network else ["--net"]
        whole += ["sh", "-c", self._script(), "sh", *command]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ROOT": str(self.root)}
        return subprocess.run(whole, env=environment, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]

    def _script(self) -> str:
        lines = [_MOUNTS]
        lines += [f'mount -t tmpfs -o mode=1777 tmpfs "$ROOT{place}"' for place in self.empty]
        for place, here in self.binds.items():
            lines.append(f'mount --bind {quote(str(here))} "$ROOT{place}"')
            if place not in self.writable:
                lines.append(f'mount -o remount,bind,ro "$ROOT{place}"')
        if self.read_only:
            lines.append('mount -o remount,bind,ro "$ROOT"')
        if not self.network:
            lines.append("ip link set lo up")
        pairs = " ".join(quote(f"{name}={value}") for name, value in self.environment.items())
        enter = f"env -i {pairs} /bin/sh -c {quote(_ENTER)} {quote(self.folder)}"
        lines.append(f'exec chroot --userspec={self.user} "$ROOT" {enter} "$@"')
        return "\n".join(lines)
