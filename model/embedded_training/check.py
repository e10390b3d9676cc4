"""How well a network transfers: generated pictures of kinds that training never draws."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.embedded_training.net import GRID, EmbeddedNet
from s2sw.model.embedded_training.ring import BLOCK, MASK, draw_scenes, seen_by, shrunk
from s2sw.model.synthetic.scenes import Mixture, held_out_mixture, training_mixture
from s2sw.model.towers.stem import Stem

PICTURES = 512
"""Of each of two sets."""


class Check:
    """Pictures as stem features: "new" of surfaces never trained on, "known" of the others."""

    def __init__(self, stem: Stem, seed: int, pictures: int = PICTURES) -> None:
        self.sets = {
            "new": _set(stem, [seed, 3], held_out_mixture(), pictures),
            "known": _set(stem, [seed, 4], training_mixture(0.8), pictures // 2),
        }

    @torch.inference_mode()
    def measure(self, net: EmbeddedNet) -> dict[str, float]:
        """Return image and pixel AUROC of each set; a pixel is a cell of MASK x MASK, half defect or not."""
        found = {}
        for name, (features, masks) in self.sets.items():
            seen = [net(some) for some in torch.split(features, BLOCK)]
            scores = torch.cat([s.score for s in seen])
            tokens = torch.cat([s.map for s in seen])
            labels = torch.arange(len(scores)) % 2
            found[f"{name}_image"] = auroc(scores, labels)
            maps = functional.interpolate(
                tokens.reshape(-1, 1, GRID, GRID), size=(MASK, MASK), mode="bilinear"
            )
            found[f"{name}_pixel"] = auroc(maps.flatten(), (masks > 0.5).flatten())
        return found


def auroc(scores: Tensor, labels: Tensor) -> float:
    """Return the area under the ROC curve of scores (n,) for labels (n,), 0 or 1; ties count half."""
    _, place, count = torch.unique(scores, return_inverse=True, return_counts=True)
    ranks = (count.cumsum(0) - (count - 1) / 2).double()[place]
    positive = labels.bool()
    ones = int(positive.sum())
    zeros = len(labels) - ones
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _set(stem: Stem, seed: list[int], mixture: Mixture, pictures: int) -> tuple[Tensor, Tensor]:
    scenes = draw_scenes(np.random.default_rng(seed), mixture, pictures)
    parts = [seen_by(stem, scenes[at : at + BLOCK]) for at in range(0, pictures, BLOCK)]
    masks = torch.from_numpy(np.stack([shrunk(s.mask) for s in scenes])).float() / 255
    return torch.cat(parts), masks
