"""A tower's linear layers in int8 on a CPU: a factor for each row of weights, and one for each token.

AVX-512 VNNI multiplies int8 numbers four times as fast as float32 ones. The kernel is oneDNN's, by the
operators that torch.compile calls; it takes unsigned tokens, and those of one call with one factor. So tokens
are scaled each by its own before, and back after.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

OPERATORS = torch.ops.onednn
LARGEST = 127
LARGEST_TOKEN = LARGEST - 1
"""A token's largest value after scaling: one less than fits, since its factor may be rounded down."""
MIDDLE = 128
"""What zero is as an unsigned byte."""
SMALLEST = 1e-30
"""A token's least factor: one of zeros must not be divided by zero."""


class Int8Linear(nn.Module):
    """then(x W^T + b), as ``packed.PackedLinear``; tokens and bias are float32 or bfloat16."""

    def __init__(self, weight: Tensor, bias: Tensor, then: str = "none") -> None:
        super().__init__()
        whole, self.factor = as_int8(weight.detach())
        self.packed = OPERATORS.qlinear_prepack(whole, None)
        self.zero = torch.zeros(len(whole), dtype=torch.int32)
        self.bias = bias.detach()
        self.then = then

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., in) to (..., out) of the same type."""
        whole, factor = tokens_as_bytes(x.flatten(0, -2))
        found = cast(
            "Tensor",
            OPERATORS.qlinear_pointwise(
                whole, 1.0, MIDDLE, self.packed, self.factor, self.zero, None, 1.0, 0, x.dtype, "none", [], ""
            ),
        )
        torch.addcmul(self.bias, found, factor, out=found)
        if self.then == "swish":
            functional.silu(found, inplace=True)
        elif self.then == "gelu":
            found = functional.gelu(found)
        return found.view(*x.shape[:-1], -1)


def as_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (N, M) as whole numbers -127..127, int8, and the factors (N,), float32, that undo it."""
    rows = rows.float()
    factor = (rows.abs().amax(dim=1) / LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
    return (rows / factor[:, None]).round().to(torch.int8), factor


def tokens_as_bytes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return tokens (N, D) as bytes around MIDDLE, and the factors (N, 1) in their own type that undo it."""
    factor = (x.abs().amax(dim=-1, keepdim=True) / LARGEST_TOKEN).clamp_min(SMALLEST)
    whole = (x * factor.float().reciprocal()).round_().to(torch.int8)
    return whole.view(torch.uint8).bitwise_xor_(MIDDLE), factor
