"""WinCLIP's windows: every k x k square of patches through the tower, and what they say of a patch.

Source: Jeong et al., WinCLIP, CVPR 2023, with the harmonic aggregation of its open implementation.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.towers.visual import VisionTower

SCALES = (2, 3)
"""Sides of the windows, patches."""
TOKENS_AT_ONCE = 1 << 16
"""Tokens of a pass through the tower: bounds its memory, whatever the grid and the batch."""


@lru_cache(maxsize=16)
def window_tokens(grid: int, scale: int) -> Tensor:
    """Return the tokens of every window, int64 (W, 1 + scale^2): the class token, then patches, row by row.

    W = (grid - scale + 1)^2, windows at stride 1 in row order.
    """
    patches = torch.arange(1, grid * grid + 1).reshape(1, 1, grid, grid).float()
    squares = functional.unfold(patches, scale)[0].T.long()
    return functional.pad(squares, (1, 0))


@lru_cache(maxsize=16)
def _on_device(grid: int, scale: int, device: torch.device) -> Tensor:
    """Return ``window_tokens`` where they are used: a copy with every batch would make the host wait."""
    return window_tokens(grid, scale).to(device)


def window_embeddings(tower: VisionTower, embedded: Tensor, scale: int) -> Tensor:
    """Return the projected class token of every window, float32 (B, W, C).

    embedded: tokens (B, 1 + g * g, width) of ``tower.embed``. Windows share nothing, so that all of them, of
    all pictures, go through the tower together.
    """
    grid = round((embedded.shape[1] - 1) ** 0.5)
    chosen = _on_device(grid, scale, embedded.device)
    windows = embedded[:, chosen].flatten(0, 1)
    some = torch.split(windows, max(1, TOKENS_AT_ONCE // chosen.shape[1]))
    found = torch.cat([tower.project(class_tokens(tower, w)) for w in some])
    return found.reshape(len(embedded), len(chosen), -1)


def class_tokens(tower: VisionTower, embedded: Tensor) -> Tensor:
    """Return the class token after the last block, (B, width); nothing else of that block is computed."""
    x = tower.ln_pre(embedded)
    *blocks, last = tower.transformer
    for block in blocks:
        x = block(x)
    q, k, v = last.attn.project(last.ln_1(x))
    return last.feed(x[:, :1] + last.attn.attend(q[:, :, :1], k, v))[:, 0]  # type: ignore[no-any-return]


def harmonic_map(values: Tensor, grid: int, scale: int) -> Tensor:
    """Return each patch's harmonic mean over the windows that cover it, (B, g, g), of values (B, W), >= 0.

    A patch that a window of value 0 covers gets 0.
    """
    windows = values.reshape(len(values), *[grid - scale + 1] * 2)
    # infinities add up to infinity, and their inverse is 0
    return _covering_sum(torch.ones_like(windows[:1]), scale) / _covering_sum(1 / windows, scale)


def _covering_sum(windows: Tensor, scale: int) -> Tensor:
    """Sum over the windows that cover a patch, (B, g, g); by pooling: cuDNN convolves float32 as TF32."""
    padded = functional.pad(windows, [scale - 1] * 4)
    return functional.avg_pool2d(padded, scale, stride=1, divisor_override=1)
