"""Nothing leaves: the switches of libraries that would call out, and what private mode asks of a process."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from s2sw.pipeline.privacy.ids import KEY_ENV, KEY_FILE_ENV
from s2sw.pipeline.privacy.redaction import seal
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.storage import StorageSettings

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",
}
"""Environment of every process of a run. Set before the libraries are imported, which read it then.

What Ray reads is set when this package is imported.
"""

NO_METADATA = "AWS_EC2_METADATA_DISABLED"
LOOPBACK_RAY = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With "0" the processes of a local Ray take 127.0.0.1 for their address; else they probe 8.8.8.8 for it."""

_CORE_FILTER = Path("/proc/self/coredump_filter")


def enter(config: ScreenConfig) -> None:
    """Prepare this process for a run; call it before Ray, boto or the detector are imported."""
    enter_worker(config.storage, config.private)


def enter_worker(storage: StorageSettings, private: bool) -> None:
    """Prepare a process of Ray's: on a cluster it was started by others, with an environment of theirs.

    private: files are the owner's only, no core dumps, and no text of an error or log record gets out.
    """
    go_offline(storage)
    enter_reader(private)


def enter_reader(private: bool) -> None:
    """Prepare a process that reads results and sources; private as for ``enter_worker``."""
    if private:
        os.umask(0o077)
        forbid_core_dumps()
        seal()


def go_offline(storage: StorageSettings) -> None:
    """Set every switch; the machine's metadata service is asked only where a role is configured."""
    os.environ.update(OFFLINE)
    os.environ[NO_METADATA] = "false" if storage.instance_role else "true"


def forbid_core_dumps() -> None:
    """Let no crash write this process's memory, or that of its children, to a file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # a core_pattern that is a pipe ignores the limit (core(5)): leave such a dump without any memory
    with contextlib.suppress(OSError):
        _CORE_FILTER.write_text("0")


@contextlib.contextmanager
def local_environment(temporary: Path, more: dict[str, str | None] | None = None) -> Iterator[None]:
    """Set what processes that are started here inherit: no id key, and one folder for temporary files.

    more: further variables; None removes one.
    """
    changes: dict[str, str | None] = {**OFFLINE, LOOPBACK_RAY: "0", "TMPDIR": str(temporary)}
    changes |= {KEY_ENV: None, KEY_FILE_ENV: None, **(more or {})}
    before = {name: os.environ.get(name) for name in changes}
    _set(changes)
    try:
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
