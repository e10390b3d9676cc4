"""A tower's linear layers for bfloat16 or int8 on a CPU: each one kernel, its weight laid out once.

torch's own linear copies the bias to every row, lays the weight out again at each call, and leaves a
non-linearity to a pass of its own.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from s2sw.model.precision import Precision
from s2sw.model.towers import onednn
from s2sw.model.towers.blocks import QUICK, Attention, Block, Blocks, Mlp
from s2sw.model.towers.int8_linear import Int8Linear

ROWS = 1024
"""Tokens that a weight is laid out for; other counts work as well."""

_LOCK = threading.Lock()
_packing = True


def packs() -> bool:
    """Tell whether layers in bfloat16 can be packed here."""
    return _packing and onednn.present()


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Leave the layers of towers loaded inside as they are: to rehearse a GPU's code on a CPU."""
    global _packing
    _packing = False
    try:
        yield
    finally:
        _packing = True


def pack_when_used(blocks: Blocks, precision: Precision) -> None:
    """Let blocks be packed at their first use: whoever read the weights has let go of them by then."""
    blocks.before_use = partial(_pack_now, precision=precision) if precision == "int8" or packs() else None


def _pack_now(blocks: Blocks, precision: Precision) -> None:
    """Pack blocks, once for several threads: the others wait until it is done."""
    with _LOCK:
        if blocks.before_use is not None:
            pack(blocks, precision)
            blocks.before_use = None


def pack(blocks: Blocks, precision: Precision = "bf16") -> None:
    """Replace the linear layers of blocks on a CPU, for inference: in int8, or those that are in bfloat16.

    Nothing is done where it cannot be. One block after another, so that no more than one block's weights are
    in memory twice.
    """
    weight = next(blocks.parameters())
    lowered = weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and packs()
    if precision != "int8" and not lowered:
        return
    linear = Int8Linear if precision == "int8" else PackedLinear
    for block in cast("Iterable[Block]", blocks.resblocks):
        block.attn = PackedAttention(block.attn, linear)
        block.mlp = PackedMlp(block.mlp, linear)  # type: ignore[assignment]


class PackedLinear(nn.Module):
    """then(x W^T + b): then is "none", "swish" (x sigmoid(x)) or "gelu" (the exact one)."""

    def __init__(self, weight: Tensor, bias: Tensor, then: str = "none") -> None:
        super().__init__()
        self.packed = onednn.laid_out(weight.detach(), ROWS)
        self.bias = bias.detach()
        self.then = then

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., in) to (..., out), both bfloat16."""
        return onednn.product(x, self.packed, self.bias, self.then)


Linear = type[PackedLinear] | type[Int8Linear]


class PackedAttention(Attention):
    """Attention with both of its products packed."""

    def __init__(self, plain: Attention, linear: Linear) -> None:
        nn.Module.__init__(self)
        self.heads = plain.heads
        self.in_proj = linear(plain.in_proj_weight, plain.in_proj_bias)
        self.out_proj = linear(plain.out_proj.weight, plain.out_proj.bias)  # type: ignore[assignment]

    @override
    def joint(self, h: Tensor) -> Tensor:
        return self.in_proj(h)  # type: ignore[no-any-return]


class PackedMlp(nn.Module):
    """The two layers, the first with its non-linearity.

    The quick GELU is x sigmoid(a x) = swish(a x) / a, with both factors in the weights.
    """

    def __init__(self, plain: Mlp, linear: Linear) -> None:
        super().__init__()
        inside, out = plain.c_fc, plain.c_proj
        quick = plain.activation == "quick_gelu"
        factor = QUICK if quick else 1.0
        self.c_fc = linear(inside.weight * factor, inside.bias * factor, "swish" if quick else "gelu")
        self.c_proj = linear(out.weight / factor, out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., width) to (..., width)."""
        return self.c_proj(self.c_fc(x))  # type: ignore[no-any-return]
