"""Peak memory of this process alone."""

from pathlib import Path


def peak_mib() -> int:
    """Return the peak resident size since this program was started, MiB.

    Not ``ru_maxrss``: a process started by a large one inherits the larger one's peak there.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10
