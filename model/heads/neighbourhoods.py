"""Patches seen together with their neighbours: AF-CLIP's multi-scale tokens."""

import torch
from torch import Tensor

from s2sw.model.maps import gaussian

SCALES = (1, 3, 5)
"""Sides of the neighbourhoods, patches; 1 is the patch itself."""
SIGMA = 4.0


class Neighbourhoods:
    """Gaussian-weighted sums over r x r neighbours of each patch, sigma 4, with zeros beyond the grid.

    along: what sums along one side of the grid, (g, g), at each scale; None where it is the patch itself.
    """

    def __init__(self, grid: int, device: torch.device) -> None:
        self.grid = grid
        self.along = [
            None
            if r == 1
            else torch.tensor(gaussian(grid, SIGMA, r // 2, "constant"), dtype=torch.float32, device=device)
            for r in SCALES
        ]

    def patches(self, patches: Tensor) -> list[Tensor]:
        """Return patches (B, g * g, W) at each scale, in their own dtype."""
        return [patches if along is None else self._summed(patches, along) for along in self.along]

    def _summed(self, patches: Tensor, along: Tensor) -> Tensor:
        grid, along = self.grid, along.to(patches.dtype)
        down = (along @ patches.reshape(len(patches), grid, -1)).reshape(len(patches), grid, grid, -1)
        return (along @ down).flatten(1, 2)

    def of_products(self, products: Tensor, along: Tensor) -> Tensor:
        """Return the products of sums, (B, g * g, K * g * g), of patches with those of K."""
        batch, grid = len(products), self.grid
        own = self._summed(products, along)
        rows = own.reshape(batch, grid**2, -1, grid, grid) @ along.T
        return (along @ rows).reshape(products.shape)
