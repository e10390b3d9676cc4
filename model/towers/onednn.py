"""oneDNN's bfloat16 products on a CPU, with what follows each done in the same pass.

By the operators that torch.compile calls. They are internal to torch, and another release may lack them.
"""

from typing import cast

import torch
from torch import Tensor

from s2sw.model.precision import multiplies_bf16

OPERATORS = torch.ops.mkldnn


def present() -> bool:
    """Tell whether the products are there, and this processor multiplies bfloat16."""
    known = hasattr(OPERATORS, "_linear_pointwise") and hasattr(OPERATORS, "_reorder_linear_weight")
    return known and multiplies_bf16(torch.device("cpu"))


def laid_out(weight: Tensor, rows: int) -> Tensor:
    """Return a weight (out, in), bfloat16, as ``product`` takes it: for so many rows; others work as well."""
    return cast("Tensor", OPERATORS._reorder_linear_weight(weight, rows))


def product(x: Tensor, weight: Tensor, bias: Tensor, then: str = "none") -> Tensor:
    """Return then(x W^T + b), (..., out), of rows x (..., in) and a weight (out, in), laid out or not.

    All are bfloat16, and contiguous: others take a thousand times as long. Sums and then, one of
    torch.compile's names of functions, are computed in float32.
    """
    return cast("Tensor", OPERATORS._linear_pointwise(x, weight, bias, then, [], "none"))
