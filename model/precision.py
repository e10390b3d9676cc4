"""float32, or bfloat16 where the processor has products for it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

CUDNN_FLAGS = threading.Lock()

Precision = Literal["fp32", "bf16"]

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def multiplies_bf16(device: torch.device) -> bool:
    """Tell whether a device has bfloat16 products; a CPU without them takes 200 times as long as float32."""
    if device.type != "cpu":
        return True
    built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(built and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def quick_type(device: torch.device) -> torch.dtype:
    """Return what the products of a training run in: bfloat16 where that is not slower."""
    return torch.bfloat16 if multiplies_bf16(device) else torch.float32


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let convolutions inside keep float32: cuDNN would round it to TF32.

    Its flags are the whole process's, the other threads' too.
    """
    with CUDNN_FLAGS, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def usable(precision: Precision, device: torch.device) -> Precision:
    """Return the precision to compute with: float32, with a warning, where bf16 would be far slower."""
    if precision != "bf16" or multiplies_bf16(device):
        return precision
    warnings.warn("this CPU has no bfloat16 products: computing in float32 instead", stacklevel=3)
    return "fp32"
