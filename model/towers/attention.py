"""Attention of a tower, in the way that is quickest on this processor: one kernel, or a head at a time.

A processor with bfloat16 products and without AMX multiplies several times as fast as torch's fused kernel
does; there, single products win although the scores of a head are written and read again. With AMX, and in
float32, the kernel wins.
"""

import time
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Way = Literal["fused", "by_heads"]
"""fused: torch's kernel. by_heads: product, softmax and product for each head, in the tokens' own type."""

GAIN = 0.8
"""by_heads is taken where it needs at most this share of the kernel's time: a close race is no reason."""
ROUNDS = 4
LIKE = (1, 2, 1370, 64)
"""What is measured: two heads of ViT-L/14 at 518 pixels."""

_way: Way | None = None


def use(way: Way) -> None:
    """Compute attention in this way in this process from now on, instead of measuring."""
    global _way
    _way = way


def quicker() -> Way:
    """Return the way that is quicker in bfloat16 here; some tens of milliseconds."""
    q = torch.linspace(-1, 1, 3 * 2 * 1370 * 64).view(3, *LIKE).bfloat16()
    fused, heads = (min(times) for times in zip(*(_round(*q) for _ in range(ROUNDS)), strict=True))
    return "by_heads" if heads <= GAIN * fused else "fused"


def mixed(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return softmax(q k^T / sqrt(d)) v, (B, heads, rows of q, d); mask is added to the logits."""
    if mask is None and q.requires_grad and q.device.type == "cpu":
        # two products: the fused attention's backward is several times slower on CPUs
        scores: Tensor = q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)
        return scores.softmax(dim=-1).to(v.dtype) @ v
    if mask is None and q.device.type == "cpu" and _chosen(q) == "by_heads":
        return by_heads(q, k, v)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def by_heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Do as ``mixed`` a head at a time: its scores stay in the processor's cache, in one place."""
    found = torch.empty((*q.shape[:-1], v.shape[-1]), dtype=v.dtype)
    scores = torch.empty((q.shape[-2], k.shape[-2]), dtype=q.dtype)
    scaled = q * q.shape[-1] ** -0.5
    for picture in range(len(q)):
        for head in range(q.shape[1]):
            torch.mm(scaled[picture, head], k[picture, head].T, out=scores)
            torch.softmax(scores, dim=-1, out=scores)
            torch.mm(scores, v[picture, head], out=found[picture, head])
    return found


def _chosen(q: Tensor) -> Way:
    global _way
    if _way is None:
        if q.dtype != torch.bfloat16:
            return "fused"
        _way = quicker()
    return _way


def _fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v)


def _round(q: Tensor, k: Tensor, v: Tensor) -> tuple[float, float]:
    """Return the seconds of a call of each: of this thread alone, so that a busy machine decides nothing."""
    times = []
    with torch.inference_mode():
        for attend in (_fused, by_heads):
            started = time.thread_time()
            attend(q, k, v)
            times.append(time.thread_time() - started)
    return times[0], times[1]
