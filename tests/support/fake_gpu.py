"""A GPU that is not there: its tensors have shapes and no numbers; and what crosses over to it and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda", 0)


def fake(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE)


def onto_gpu(thing: Any) -> Any:
    """Return a detector, or a part of one, with its tensors on the GPU; the detector is changed in place."""
    if isinstance(thing, Tensor):
        return fake(thing)
    if isinstance(thing, nn.Module):
        for module in thing.modules():
            for name, given in module._parameters.items():
                if given is not None:
                    module._parameters[name] = nn.Parameter(fake(given), requires_grad=False)
            for name, given in module._buffers.items():
                if given is not None:
                    module._buffers[name] = fake(given)
        return thing
    if isinstance(thing, torch.device):
        return DEVICE
    if isinstance(thing, list):
        return [onto_gpu(one) for one in thing]
    if hasattr(thing, "map_layers"):  # a detector
        for name, value in vars(thing).items():
            setattr(thing, name, onto_gpu(value))
    return thing


class Crossings(TorchDispatchMode):
    """Lists the operations whose tensors lie on both sides, as (from, to): each makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given, made = (
            {t.device.type for t in tree_leaves(x) if isinstance(t, Tensor)} for x in ((args, kwargs), out)
        )
        if len(given | made) > 1 and not (kwargs or {}).get("non_blocking"):
            self.seen.append((",".join(sorted(given)), ",".join(sorted(made))))
        return out


@contextmanager
def fake_gpu() -> Iterator[Crossings]:
    """Let tensors be fakes, and list what crosses over; what needs numbers of the GPU's raises an error."""
    with FakeTensorMode(allow_non_fake_inputs=True), Crossings() as crossings:
        yield crossings
