"""What a machine is, as far as speed depends on it."""

import os
import platform
from pathlib import Path

FASTEST_FIRST = (
    ("amx_bf16", "amx"), ("avx512_bf16", "avx512-bf16"), ("avx512_vnni", "avx512-vnni"),
    ("avx512f", "avx512"), ("avx2", "avx2"),
)  # fmt: skip
"""Flags of /proc/cpuinfo and the kinds of processors that they stand for: what their products run on."""
GOALS = {"amx": (1.7, 5.0, None), "avx512-bf16": (1.7, 3.8, 5.0), "avx512-vnni": (1.7, None, 5.0)}
"""How many times faster than the plain detector, in fp32, bf16 and int8, by kind; else as ``OTHERWISE``."""
OTHERWISE = (1.7, None, None)


def kind() -> str:
    """Return the kind of this machine's processor, ``amx`` for example."""
    flags = _cpuinfo("flags").split()
    return next((name for flag, name in FASTEST_FIRST if flag in flags), platform.machine())


def described() -> str:
    """Return the processor's name and the number of cores that this process may use."""
    return f"{_cpuinfo('model name') or platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def _cpuinfo(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
