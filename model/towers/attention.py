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

from s2sw.model.towers import onednn

Way = Literal["fused", "by_heads"]
"""fused: torch's kernel. by_heads: products for each head, in the tokens' own type."""

GAIN = 0.8
"""by_heads is taken where it needs at most this share of the kernel's time: a close race is no reason."""
ROUNDS = 4
LIKE = (1, 2, 1370, 64)
"""What is measured: two heads of ViT-L/14 at 518 pixels."""

BELOW = 8.0
"""How far below 0 the greatest exponent is: sigmoid differs from exp there by a part in 3,000.

Of a large bound, rounding to bfloat16 may take half a part in 256.
"""
LEAST_SUM = 1e-30
"""Of a row's exponentials. Single ones of less than 1e-38 are lost, which must not matter beside it."""

_way: Way | None = None
_measured: Way | None = None


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
    """Do as ``mixed`` a head at a time: its scores stay in the processor's cache."""
    found = torch.empty((*q.shape[:-1], v.shape[-1]), dtype=v.dtype)
    # a product would keep the order of q's memory, which is that of all heads together
    scaled = torch.mul(q, q.shape[-1] ** -0.5, out=torch.empty(q.shape, dtype=q.dtype))
    attend = by_exponentials if q.dtype == torch.bfloat16 and onednn.present() else by_softmax
    for picture in range(len(q)):
        for head in range(q.shape[1]):
            attend(scaled[picture, head], k[picture, head], v[picture, head], found[picture, head])
    return found


def by_softmax(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    """Write softmax(q k^T) v to out (rows, d): two products, and a pass over the scores between them."""
    scores = q @ k.T
    torch.softmax(scores, dim=-1, out=scores)
    torch.mm(scores, v, out=out)


def by_exponentials(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    """Do as ``by_softmax`` without the pass, all in bfloat16: exponentials are part of the first product.

    oneDNN has no exponential there, but sigmoid(x) = exp(x) / (1 + exp(x)) is one where x is far below zero.
    No score exceeds the longest query times the longest key, so that much and ``BELOW`` are taken off each; a
    row's division by its sum cancels that. It cancels the mean key as well, which is most of the longest one.
    The sum is a further column of values. Scores are not rounded.
    """
    centred = k - k.mean(dim=0)
    longest = [torch.linalg.vector_norm(x, dim=-1, dtype=torch.float32).max() for x in (q, centred)]
    shift = torch.full((len(k),), -BELOW - float(longest[0] * longest[1]), dtype=q.dtype)
    shares = onednn.product(q, centred, shift, "sigmoid")
    weighted = shares @ functional.pad(v, (0, 1), value=1.0)
    sums = weighted[:, -1:]
    if sums.min() > LEAST_SUM:
        torch.div(weighted[:, :-1], sums, out=out)
    else:  # lengths say too little of the scores, or some are no numbers
        by_softmax(q, k, v, out)


def _chosen(q: Tensor) -> Way:
    """Return what was asked for, or the quicker way for this type: float32 is not measured."""
    global _measured
    if _way is not None or q.dtype != torch.bfloat16:
        return _way or "fused"
    if _measured is None:
        _measured = quicker()
    return _measured


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
