"""Patches seen together with their neighbours: AF-CLIP's multi-scale tokens."""

import torch
from torch import Tensor

from s2sw.model.maps import gaussian

SCALES = (1, 3, 5)
"""Sides of the neighbourhoods, patches; 1 is the patch itself."""
SIGMA = 4.0


class Neighbourhoods:
    """Gaussian-weighted sums over r x r neighbours of each patch, sigma 4, with zeros beyond the grid."""

    def __init__(self, grid: int, device: torch.device) -> None:
        self.grid = grid
        self._along = [
            torch.tensor(gaussian(grid, SIGMA, r // 2, "constant"), dtype=torch.float32, device=device)
            for r in SCALES
        ]

    def patches(self, patches: Tensor) -> list[Tensor]:
        """Return patches (B, g * g, W), float32, at each scale."""
        grid, wide = self.grid, [patches.float()]
        rows = wide[0].reshape(len(patches), grid, -1)
        for along in self._along[1:]:
            down = (along @ rows).reshape(len(patches), grid, grid, -1)
            wide.append((along @ down).flatten(1, 2))
        return wide

    def tokens(self, tokens: Tensor) -> list[Tensor]:
        """Return tokens (B, 1 + g * g, W), float32, at each scale; the class token stays as it is."""
        tokens = tokens.float()
        wider = self.patches(tokens[:, 1:])[1:]
        return [tokens, *(torch.cat([tokens[:, :1], patches], dim=1) for patches in wider)]
