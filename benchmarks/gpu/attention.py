"""The library's fused attention kernels at the detector's shapes: q, k and v apart, and all one matrix."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.detector_speed import Clock
from benchmarks.gpu.options import Options, failure
from s2sw.model.bundles.record import BundleRecord

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
}


@contextmanager
def preferring(name: str) -> Iterator[None]:
    """Let attention run in one of BACKENDS; written out in products where it cannot."""
    with sdpa_kernel([BACKENDS[name], SDPBackend.MATH], set_priority=True):
        yield


@torch.inference_mode()
def attention(options: Options, record: BundleRecord, batch: int) -> dict[str, Any]:
    """Return milliseconds and TFLOP/s of a call by each kernel; q, k and v lie as the tower makes them."""
    heads, n = record.vision.heads, record.grid**2 + 1
    depth = record.vision.width // heads
    packed = torch.randn(batch, n, 3, heads, depth, device=options.device, dtype=torch.bfloat16)
    q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
    clock, found = Clock(options.device), dict[str, Any]()
    for name, backend in BACKENDS.items():
        for which, given in (("apart", (q, k, v)), ("one_matrix", (v, v, v))):
            try:
                with sdpa_kernel(backend):
                    scaled_dot_product_attention(*given)
                    times = [clock.seconds(scaled_dot_product_attention, *given) for _ in range(10)]
            except RuntimeError as error:
                found[f"{name}.{which}"] = {"failed": failure(error)}
                continue
            seconds = statistics.median(times)
            tflops = 4 * batch * heads * n * n * depth / seconds / 1e12
            found[f"{name}.{which}"] = {"ms": 1e3 * seconds, "tflops": tflops}
    return found
