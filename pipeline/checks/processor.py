"""What this machine's processor says of itself."""

import platform
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
INT8_FLAG = "avx512_vnni"
BF16_FLAGS = frozenset(("amx_bf16", "avx512_bf16"))
"""Of processors that multiply bfloat16 numbers quicker than float32 ones."""


def quick_bf16() -> bool:
    """Tell whether this machine's processor has bfloat16 products of its own.

    torch also says yes to AVX-512 without them, where they are made of float32 ones.
    """
    return not BF16_FLAGS.isdisjoint(_field("flags").split())


def quick_int8() -> bool:
    """Tell whether this machine's processor has int8 products with 32-bit sums."""
    return INT8_FLAG in _field("flags").split()


def processor() -> str:
    """Return the processor's name and what it can do, in one text that no other kind has."""
    return "\n".join((_field("model name") or platform.processor(), platform.machine(), _field("flags")))


def _field(name: str) -> str:
    """Return a field of the first processor; empty where the system has no such file, or no such field."""
    if not CPU_INFO.exists():
        return ""
    lines = CPU_INFO.read_text(errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
