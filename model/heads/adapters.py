"""Small learned layers beside a frozen tower: what several systems adapt its tokens with."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Two linear layers without bias, each followed by LeakyReLU (slope 0.01): down (C, W), up (W, C)."""

    down: Tensor
    up: Tensor

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (..., W) to what lies between the layers (..., C) and what comes out (..., W)."""
        middle = functional.leaky_relu(tokens @ self.down.T)
        return middle, functional.leaky_relu(middle @ self.up.T)


def turned(tokens: Tensor, weight: Tensor, share: float) -> Tensor:
    """Return tokens (..., W), a share of each turned towards LeakyReLU(weight x token) at the token's length.

    weight: (W, W). A token whose turned version is all zero stays as it is: its length cannot be set.
    """
    towards = functional.leaky_relu(tokens @ weight.T)
    own, other = (
        torch.linalg.vector_norm(t, dim=-1, keepdim=True, dtype=torch.float32) for t in (tokens, towards)
    )
    scale = torch.where(other > 0, share * own / other, 0).to(tokens.dtype)
    keep = torch.where(other > 0, 1 - share, 1.0).to(tokens.dtype)
    return keep * tokens + scale * towards
