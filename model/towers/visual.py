"""CLIP's visual tower: one ViT, read as the plain stream or as two streams (original and v-v).

Source: the S2SWCLIP paper, section on the visual encoder, and the DPAM attention of AnomalyCLIP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.precision import Precision
from s2sw.model.towers.blocks import NO_HOOKS, Block, Blocks, Hooks
from s2sw.model.towers.packed import pack_when_used
from s2sw.model.towers.patches import Resize, cut, resize_positions
from s2sw.model.towers.shapes import VisionShape
from s2sw.model.towers.stem import Stem


@dataclass(frozen=True, slots=True)
class TowerOutput:
    """final: the original stream's class token after the last block, (B, width).

    taps: raw token streams after the asked blocks, each (B, N, width), class token first. plain: the same of
    the original stream.
    """

    final: Tensor
    taps: list[Tensor]
    plain: list[Tensor] = field(default_factory=list)


class VisionTower(nn.Module):
    """A CLIP ViT over a fixed grid of patches. Parameter names are those of CLIP's ``visual.``.

    With a stem, patches are what it says of them, and conv1 is a product with kernels of one patch.
    """

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        if shape.stem is None:
            self.conv1 = nn.Conv2d(3, width, shape.patch, stride=shape.patch, bias=False)
        else:
            self.conv1 = nn.Conv2d(shape.patch_channels, width, 1, bias=False)
            self.stem = Stem(shape.stem)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(shape.grid**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Blocks(width, shape.heads, shape.layers, shape.activation)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, shape.embed_dim))

    def fit_grid(self, grid: int, how: Resize) -> None:
        """Resize the positions once, so that every later image of grid * grid patches fits."""
        self.positional_embedding = nn.Parameter(
            resize_positions(self.positional_embedding.detach(), grid, how), requires_grad=False
        )
        if self.shape.stem is not None:
            self.stem.backbone.fit_grid(grid)

    def lower(self, dtype: torch.dtype) -> None:
        """Compute everything before ln_post in dtype; ln_post and the projection stay in float32."""
        for own in (self.class_embedding, self.positional_embedding):
            own.data = own.data.to(dtype)
        for part in (self.conv1, self.ln_pre, self.transformer):
            part.to(dtype)
        if self.shape.stem is not None:
            self.stem.lower(dtype)

    def pack_when_used(self, precision: Precision) -> None:
        """Let the blocks' weights be laid out for inference, where that is quicker (``packed``)."""
        pack_when_used(self.transformer, precision)
        if self.shape.stem is not None:
            pack_when_used(self.stem.backbone.transformer, precision)

    def embed(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to tokens (B, N, width), positions added, before ln_pre."""
        return self.embed_patches(
            cut(images, self.shape.patch) if self.shape.stem is None else self.stem(images)
        )

    def embed_patches(self, patches: Tensor) -> Tensor:
        """Map patches (B, g * g, patch_channels) to tokens (B, N, width), class token first."""
        # a product, not a convolution: cuDNN would round float32 to TF32
        kernels = self.conv1.weight.flatten(1)
        tokens = functional.linear(patches.to(kernels.dtype), kernels)
        first = self.class_embedding.expand(tokens.shape[0], 1, -1)
        return torch.cat([first.to(tokens.dtype), tokens], dim=1) + self.positional_embedding

    def plain(
        self, tokens: Tensor, taps: Sequence[int] = (), hooks: Hooks = NO_HOOKS
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all blocks over embedded tokens; return them, and copies after the 1-based blocks in taps.

        hooks: what a block's output is replaced by before it is tapped and the next block sees it.
        """
        x = self.ln_pre(tokens)
        kept = []
        for number, block in enumerate(self.transformer, 1):
            x = block(x)
            if number in hooks:
                x = hooks[number](x)
            if number in taps:
                kept.append(x)
        return x, kept

    def two_stream(
        self, tokens: Tensor, start: int, taps: Sequence[int], plain: Sequence[int] = ()
    ) -> TowerOutput:
        """Run the blocks from the 1-based ``start`` on in two streams; tap the v-v one.

        The v-v stream starts as the tokens that enter block ``start`` and has no MLP. Of the last
        block's original stream only the class token is computed, unless it is asked for: nothing reads the
        others. plain: the 1-based blocks whose original stream is kept, too.
        """
        x = self.ln_pre(tokens)
        y, last = x, len(self.transformer)
        kept, original = [], []
        for number, block in enumerate(self.transformer, 1):
            if number < start:
                x = y = block(x)
            else:
                x, y = two_streams(block, x, y, only_class=number == last and last not in plain)
                if number in taps:
                    kept.append(y)
            if number in plain:
                original.append(x)
        return TowerOutput(x[:, 0], kept, original)

    def project(self, tokens: Tensor) -> Tensor:
        """Map raw tap tokens (..., width) to the joint space (..., C): ln_post, then the projection."""
        return self.ln_post(tokens.float()) @ self.proj  # type: ignore[no-any-return]

    def project_lowered(self, tokens: Tensor) -> Tensor:
        """Do the same with a product in the tower's dtype; what comes out is float32."""
        dtype = self.conv1.weight.dtype
        return (self.ln_post(tokens.float()).to(dtype) @ self.proj.to(dtype)).float()  # type: ignore[no-any-return]


def two_streams(block: Block, x: Tensor, y: Tensor, *, only_class: bool) -> tuple[Tensor, Tensor]:
    """Run one block over both streams: x as CLIP does, y + out_proj(softmax(v v^T / sqrt d) v)."""
    q, k, v = block.attn.project(block.ln_1(x))
    y = y + block.attn.attend(v, v, v)
    if only_class:
        x, q = x[:, :1], q[:, :, :1]
    return block.feed(x + block.attn.attend(q, k, v)), y
