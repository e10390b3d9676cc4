"""One transformer block of CLIP, with attention that can also read values against values."""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.errors import BundleError
from s2sw.model.towers.attention import mixed
from s2sw.model.towers.shapes import Activation

QUICK = 1.702
"""What CLIP's quick GELU scales its input by."""

Hooks = Mapping[int, Callable[[Tensor], Tensor]]
"""From a block, counted from 1, to what replaces its output (B, N, width)."""
NO_HOOKS: Hooks = MappingProxyType({})


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply CLIP's non-linearity: x * sigmoid(1.702 x) in OpenAI's weights, the exact GELU in later ones."""
    if activation == "gelu":
        return functional.gelu(x)
    return x * torch.sigmoid(QUICK * x)


class Attention(nn.Module):
    """Multi-head self-attention with one packed projection, as CLIP stores it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def project(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q, k, v, each (B, heads, N, width / heads), of normed tokens h (B, N, width)."""
        batch, tokens, width = h.shape
        packed = self.joint(h).view(batch, tokens, 3, self.heads, width // self.heads)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def joint(self, h: Tensor) -> Tensor:
        """Return queries, keys and values in a row, (B, N, 3 width)."""
        return functional.linear(h, self.in_proj_weight, self.in_proj_bias)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return out_proj(softmax(q k^T / sqrt(d)) v) as (B, rows of q, width)."""
        return self.out_proj(mixed(q, k, v, mask).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Mlp(nn.Module):
    """The two linear layers of a block, four times as wide in between."""

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (..., width) to (..., width)."""
        if self.activation == "quick_gelu" and not torch.is_grad_enabled():
            return self._quick(x)
        return self.c_proj(activate(self.c_fc(x), self.activation))  # type: ignore[no-any-return]

    def _quick(self, x: Tensor) -> Tensor:
        """Do the same as x sigmoid(a x) = silu(a x) / a, the factors in the products.

        What lies between them is read and written once, not seven times.
        """
        inside, out = self.c_fc, self.c_proj
        h = torch.addmm(QUICK * inside.bias, x.flatten(0, -2), inside.weight.T, alpha=QUICK)
        h = functional.silu(h, inplace=True)
        return torch.addmm(out.bias, h, out.weight.T, alpha=1 / QUICK).view(x.shape)


class Block(nn.Module):
    """x + A(LN1 x), then x + M(LN2 x). Parameter names are those of CLIP's state dict."""

    def __init__(self, width: int, heads: int, activation: Activation, epsilon: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, epsilon)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, epsilon)
        self.mlp = Mlp(width, activation)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, width) to (B, N, width); mask is added to the attention's logits."""
        q, k, v = self.attn.project(self.ln_1(x))
        return self.feed(x + self.attn.attend(q, k, v, mask))

    def feed(self, x: Tensor) -> Tensor:
        """Apply the second half of the block: x + M(LN2 x)."""
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class Blocks(nn.Module):
    """The stack, under the name that CLIP's state dict gives it; epsilon: of its layer norms."""

    def __init__(
        self, width: int, heads: int, layers: int, activation: Activation, epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.before_use: Callable[[Blocks], None] | None = None
        """Called when the blocks are gone through; to be called once, it takes itself away."""
        self.resblocks = nn.ModuleList(Block(width, heads, activation, epsilon) for _ in range(layers))

    def __iter__(self):  # type: ignore[no-untyped-def]
        if self.before_use is not None:
            self.before_use(self)
        return iter(self.resblocks)

    def __len__(self) -> int:
        return len(self.resblocks)


def count_blocks(tensors: Collection[str], prefix: str, source: str) -> int:
    """Return how many blocks names ``{prefix}N.*`` there are. Raises BundleError unless N counts from 0.

    A depth is never taken from a number alone: one name could then ask for any amount of memory.
    """
    numbers = {n[len(prefix) :].split(".", 1)[0] for n in tensors if n.startswith(prefix)}
    missing = {str(number) for number in range(len(numbers))} - numbers
    if missing:
        raise BundleError(
            f"{source}: tensors of {prefix}{min(missing)} are missing; the file is cut or of another model"
        )
    return len(numbers)
