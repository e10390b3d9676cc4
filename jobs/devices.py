"""The device and precision that a command runs the detector with."""

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


def precision_of(name: str) -> "Precision":
    """Return the precision of an option. Ends the command for an unknown one."""
    if name not in ("fp32", "bf16"):
        fail(f"--precision is {name!r}; fp32 or bf16 is needed", EXIT_USAGE)
    return cast("Precision", name)
