"""Generated pictures as the stem sees them, and their masks on a coarse grid."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from s2sw.model.precision import quick_type
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.synthetic.scenes import Mixture, Scene, draw_pair
from s2sw.model.towers.preprocess import normalize
from s2sw.model.towers.stem import Stem
from s2sw.model.weights.dinov2 import MEAN, STD

GRID = PICTURE // 14
"""Patches along a side of a generated picture."""
MASK = 3 * GRID
"""Side of the stored masks: shares of defect in 0..255."""
QUICK = quick_type(torch.device("cpu"))
"""What the products of stem and tower run in."""


def draw_scenes(rng: np.random.Generator, mixture: Mixture, count: int) -> list[Scene]:
    """Return ``count`` scenes, count even: pairs of a normal picture and the same with defects."""
    return [scene for _ in range(count // 2) for scene in draw_pair(rng, mixture)]


def shrunk(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a mask's share of defect on MASK x MASK cells, 0..255."""
    whole = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(whole.resize((MASK, MASK), Image.Resampling.BOX))


@torch.inference_mode()
def seen_by(stem: Stem, scenes: list[Scene]) -> Tensor:
    """Return the features (B, N, K) of scenes, float16, of a stem that is lowered to QUICK."""
    pictures = torch.from_numpy(np.stack([s.picture for s in scenes]))
    x = normalize(pictures, *(torch.tensor(c).view(3, 1, 1) for c in (MEAN, STD)))
    return torch.cat([stem.features(one) for one in torch.split(x, 1)]).to(torch.float16)
