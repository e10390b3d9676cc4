"""The device and precision that a command runs the detector with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from s2sw.jobs.errors import EXIT_USAGE, fail

if TYPE_CHECKING:
    from s2sw.model.precision import Precision


def device_of(name: str) -> str:
    """Return the device of an option: ``auto`` is a GPU where there is one. Ends the command otherwise."""
    import torch

    visible = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if visible else "cpu"
    if name != "cpu" and not name.startswith("cuda"):
        fail(f"--device is {name!r}; cpu, cuda or auto is needed", EXIT_USAGE)
    if name != "cpu" and not visible:
        fail(f"--device is {name!r}, but no CUDA device is visible; use cpu", EXIT_USAGE)
    return name


def precision_of(name: str, known: Sequence[str] = ("fp32", "bf16", "int8")) -> "Precision":
    """Return the precision of an option. Ends the command for one that is not known."""
    if name not in known:
        fail(f"--precision is {name!r}; {', '.join(known[:-1])} or {known[-1]} is needed", EXIT_USAGE)
    return cast("Precision", name)
