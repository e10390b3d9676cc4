"""CLIP's text tower over embedded prompts, with deep prompts. Used only while bundling or training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from s2sw.model.towers.blocks import NO_HOOKS, Blocks, Hooks
from s2sw.model.towers.shapes import TextShape


class TextTower(nn.Module):
    """A causal transformer. Parameter names are those of CLIP's state dict."""

    def __init__(self, shape: TextShape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embedding = nn.Embedding(shape.vocab, shape.width)
        self.positional_embedding = nn.Parameter(torch.empty(shape.context, shape.width))
        self.transformer = Blocks(shape.width, shape.heads, shape.layers, shape.activation)
        self.ln_final = nn.LayerNorm(shape.width)
        self.text_projection = nn.Parameter(torch.empty(shape.width, shape.embed_dim))
        self.causal: Tensor
        mask = torch.full((shape.context, shape.context), float("-inf")).triu(1)
        self.register_buffer("causal", mask, persistent=False)

    def forward(self, embedded: Tensor, end: Tensor, deep: Sequence[Tensor] = ()) -> Tensor:
        """Return text features (P, C) of embedded prompts; arguments as of ``last``."""
        return self.last(embedded, end, deep) @ self.text_projection

    def last(
        self, embedded: Tensor, end: Tensor, deep: Sequence[Tensor] = (), hooks: Hooks = NO_HOOKS
    ) -> Tensor:
        """Return ln_final of [EOT], (P, width), of embedded prompts (P, context, width), without positions.

        end: position of [EOT] in each prompt, int64 (P,).
        deep: matrices (4, width); the i-th replaces tokens 1..4 before the block numbered i + 2 from 1.
            Their values are rounded to float16, as the released S2SWCLIP and AnomalyCLIP programs do.
        hooks: what a block's output is replaced by.
        """
        length = int(end.max()) + 1  # attention is causal: nothing after the last [EOT] is read
        x = embedded[:, :length] + self.positional_embedding[:length]
        mask = self.causal[:length, :length]
        for index, block in enumerate(self.transformer):
            if 1 <= index <= len(deep):
                matrix = deep[index - 1]
                rounded = matrix.half().to(x.dtype).expand(x.shape[0], -1, -1)
                x = torch.cat([x[:, :1], rounded, x[:, 1 + matrix.shape[0] :]], dim=1)
            x = block(x, mask)
            if index + 1 in hooks:
                x = hooks[index + 1](x)
        return self.ln_final(x[torch.arange(x.shape[0], device=x.device), end])  # type: ignore[no-any-return]

    def encode_tokens(self, ids: Tensor) -> Tensor:
        """Return features (P, C) of token ids (P, context); [EOT] is the largest id of each row."""
        return self(self.token_embedding(ids), ids.argmax(dim=-1))  # type: ignore[no-any-return]
