"""Small learned layers beside a frozen tower: what several systems adapt its tokens with."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ADAPTOR_HEADS, ADAPTOR_HEAD_WIDTH = 8, 64
ADAPTOR_WIDTH = ADAPTOR_HEADS * ADAPTOR_HEAD_WIDTH
"""Fixed in the released program, whatever the tower's width."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Two linear layers without bias, each followed by LeakyReLU (slope 0.01): down (C, W), up (W, C)."""

    down: Tensor
    up: Tensor

    def __call__(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map tokens (..., W) to what lies between the layers (..., C) and what comes out (..., W)."""
        middle = functional.leaky_relu(tokens @ self.down.T)
        return middle, functional.leaky_relu(middle @ self.up.T)


@dataclass(frozen=True, slots=True)
class AttentionAdaptor:
    """Layer norm and one attention of 8 heads of 64, without residual and MLP.

    norm: weight and bias (W,). qkv: packed (3 * 512, W), no bias. out, bias: (W, 512), (W,).
    """

    norm: tuple[Tensor, Tensor]
    qkv: Tensor
    out: Tensor
    bias: Tensor

    def __call__(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, W) to (B, N, W), float32; products are of the weights' type."""
        normed = functional.layer_norm(tokens.float(), tokens.shape[-1:], *self.norm).to(self.qkv.dtype)
        packed = (normed @ self.qkv.T).reshape(*tokens.shape[:2], 3, ADAPTOR_HEADS, ADAPTOR_HEAD_WIDTH)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return (mixed @ self.out.T).float() + self.bias


def turned(tokens: Tensor, weight: Tensor, share: float) -> Tensor:
    """Return tokens (..., W), a share of each turned towards LeakyReLU(weight x token) at the token's length.

    weight: (W, W). A token whose turned version is all zero stays as it is: its length cannot be set.
    """
    towards = functional.leaky_relu(tokens @ weight.T)
    own, other = (t.float().norm(dim=-1, keepdim=True) for t in (tokens, towards))
    scale = torch.where(other > 0, share * own / other, 0).to(tokens.dtype)
    keep = torch.where(other > 0, 1 - share, 1.0).to(tokens.dtype)
    return keep * tokens + scale * towards
