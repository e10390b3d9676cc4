"""More of a few normal pictures: what MVFA-AD's memory can be made of."""

import math

import torch
from torch import Tensor
from torch.nn import functional

ANGLES = tuple(sign * math.pi / part for part in (8, 16) for sign in (-1, 1))
SHIFTS = tuple((x, y) for x in (-0.1, 0.1) for y in (-0.1, 0.1))
"""Of affine_grid's units: a picture is 2 wide."""


def eleven_fold(pictures: Tensor) -> Tensor:
    """Return pictures (K, 3, S, S) as (11 K, 3, S, S): as they are, rotated, shifted, and flipped each way.

    What a rotation or a shift uncovers is filled by reflection. Source: MVFA-AD's released program.
    """
    moved = [
        _moved(pictures, [[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0]]) for a in ANGLES
    ]
    moved += [_moved(pictures, [[1, 0, x], [0, 1, y]]) for x, y in SHIFTS]
    return torch.cat([pictures, *moved, pictures.flip(3), pictures.flip(2)])


def _moved(pictures: Tensor, matrix: list[list[float]]) -> Tensor:
    theta = torch.tensor(matrix, dtype=pictures.dtype, device=pictures.device).expand(len(pictures), 2, 3)
    places = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, places, padding_mode="reflection", align_corners=False)
