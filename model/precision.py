"""float32, or bfloat16 or int8 where the processor has products for it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

CUDNN_FLAGS = threading.Lock()

Precision = Literal["fp32", "bf16", "int8"]
"""Of a tower's products. int8: of its linear layers alone, on a CPU (``s2sw.model.towers.int8_linear``)."""


def multiplies_bf16(device: torch.device) -> bool:
    """Tell whether a device has bfloat16 products; a CPU without them takes 200 times as long as float32."""
    if device.type != "cpu":
        return True
    built = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return bool(built and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def multiplies_int8(device: torch.device) -> bool:
    """Tell whether a device has int8 products with 32-bit sums: a CPU with AVX-512 VNNI or AMX.

    On others they saturate, or are slower than float32.
    """
    known = hasattr(torch.ops.onednn, "qlinear_pointwise") and hasattr(torch.ops.onednn, "qlinear_prepack")
    return device.type == "cpu" and known and torch.cpu._is_vnni_supported()


def multiplies(precision: Precision, device: torch.device) -> bool:
    """Tell whether a device has products for a precision that are worth it."""
    if precision == "int8":
        return multiplies_int8(device)
    return precision == "fp32" or multiplies_bf16(device)


def token_type(precision: Precision) -> torch.dtype:
    """Return the type of tokens between a tower's products.

    For int8 it is bfloat16 only where the processor itself multiplies it: elsewhere attention would be slow.
    """
    if precision == "int8":
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32


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
    """Return the precision to compute with: float32, with a warning, where there are no products for it."""
    if multiplies(precision, device):
        return precision
    where = "CPU" if device.type == "cpu" else "device"
    warnings.warn(f"this {where} has no {precision} products: computing in float32 instead", stacklevel=3)
    return "fp32"
