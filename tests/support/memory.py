"""Memory of this process alone: its peak, and a bound."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path


def peak_mib() -> int:
    """Return the peak resident size since this program was started, MiB.

    Not ``ru_maxrss``: a process started by a large one inherits the larger one's peak there.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


@contextlib.contextmanager
def limited_to(more: int) -> Iterator[None]:
    """Let this process map so many bytes more than it has now; beyond, allocations fail."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
