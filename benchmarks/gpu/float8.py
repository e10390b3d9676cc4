"""A tower whose linear layers multiply in float8, to measure whether it is worth an option of the detector.

E4M3 with one scale for each output channel of a weight and one for each token, both float32; sums, norms,
attention and what lies between the layers stay in bf16. Hopper and newer have products for it.
"""

import torch
from torch import Tensor, nn

from s2sw.model.towers.blocks import Attention, Mlp, activate
from s2sw.model.towers.visual import VisionTower

LARGEST = torch.finfo(torch.float8_e4m3fn).max
TINY = 1e-12


def scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows (M, K) in float8 and their scales, float32 (M, 1): x is about one times the other."""
    scale = x.abs().amax(dim=-1, keepdim=True).float().clamp_min(TINY) / LARGEST
    return (x.float() / scale).to(torch.float8_e4m3fn), scale


class Float8Linear(nn.Module):
    """A linear layer (out, in) whose product is in float8; takes and gives bf16."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        small, scale = scaled(weight.detach())
        self.register_buffer("weight", small)
        self.register_buffer("scale", scale.T.contiguous())
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        rows, scale = scaled(x.flatten(0, -2))
        product = on_gpu if x.is_cuda else written_out
        return product(rows, scale, self.weight, self.scale, self.bias).unflatten(0, x.shape[:-1])


def on_gpu(rows: Tensor, row_scale: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Return the product of float8 rows (M, K) and a float8 weight (N, K) in bf16, (M, N)."""
    out: Tensor = torch._scaled_mm(
        rows, weight.T, scale_a=row_scale, scale_b=scale, bias=bias, out_dtype=torch.bfloat16
    )
    return out


def written_out(rows: Tensor, row_scale: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Do the same in float32: on CPUs the library takes one scale for a whole tensor in some releases."""
    return (rows.float() @ weight.float().T * row_scale * scale + bias).bfloat16()


def to_float8(tower: VisionTower) -> None:
    """Replace the linear layers of all blocks of a bf16 tower."""
    for block in tower.transformer:
        for part, name in ((block.attn, "out_proj"), (block.mlp, "c_fc"), (block.mlp, "c_proj")):
            plain = getattr(part, name)
            setattr(part, name, Float8Linear(plain.weight, plain.bias))
        block.mlp.__class__, block.attn.__class__ = Float8Mlp, Float8Attention
        block.attn.packed = Float8Linear(block.attn.in_proj_weight, block.attn.in_proj_bias)


class Float8Mlp(Mlp):
    """The two layers as they are written, each a product of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., width) to (..., width)."""
        out: Tensor = self.c_proj(activate(self.c_fc(x), self.activation))
        return out


class Float8Attention(Attention):
    """Attention whose query, key and value come from one product in float8."""

    packed: Float8Linear

    def project(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v, each (B, heads, N, width / heads), of normed tokens h (B, N, width)."""
        packed = self.packed(h).unflatten(-1, (3, self.heads, -1))
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v
