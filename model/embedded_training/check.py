"""How well a network transfers: generated pictures of kinds that training never draws."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.embedded_training.calibration import calibrated, evidence_of
from s2sw.model.embedded_training.net import EmbeddedNet
from s2sw.model.embedded_training.pictures import GRID, MASK, draw_scenes, seen_by, shrunk
from s2sw.model.embedded_training.ring import BLOCK
from s2sw.model.synthetic.scenes import Mixture, held_out_mixture, training_mixture
from s2sw.model.towers.stem import Stem
from s2sw.schemas.whole_files import BY_UMASK, whole_file

PICTURES = 256
"""Of each of two sets."""


class Check:
    """Pictures as stem features: "new" of surfaces never trained on, "known" of the others."""

    def __init__(self, stem: Stem, seed: int, pictures: int = PICTURES, kept: Path | None = None) -> None:
        """kept: a file that holds the pictures from one start of a run to the next."""
        if kept is not None and kept.is_file():
            self.sets = torch.load(kept, weights_only=True)
            return
        self.sets = {
            "new": _set(stem, [seed, 3], held_out_mixture(), pictures),
            "known": _set(stem, [seed, 4], training_mixture(0.8), pictures // 2),
        }
        if kept is not None:
            with whole_file(kept, BY_UMASK) as file:
                torch.save(self.sets, file)

    @torch.no_grad()
    def measure(self, net: EmbeddedNet) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Return figures of each set, and the calibration that fits both together.

        Figures: AUROC of the image feature's families, of the map's highest patches, and of pixels; a pixel
        is a cell of MASK x MASK, half defect or not.
        """
        found, odds = {}, []
        for name, (features, masks) in self.sets.items():
            seen = [net(some) for some in torch.split(features, BLOCK)]
            odds.append(torch.cat([evidence_of(s) for s in seen]))
            tokens = torch.cat([s.map for s in seen])
            labels = labels_of(tokens)
            found[f"{name}_image"] = auroc(odds[-1][:, :-1].mean(dim=1), labels)
            found[f"{name}_highest"] = auroc(odds[-1][:, -1], labels)
            maps = functional.interpolate(
                tokens.reshape(-1, 1, GRID, GRID), size=(MASK, MASK), mode="bilinear"
            )
            found[f"{name}_pixel"] = auroc(maps.flatten(), (masks > 0.5).flatten())
        return found, calibrated(torch.cat(odds), torch.cat([labels_of(some) for some in odds]))


def labels_of(rows: Tensor) -> Tensor:
    """Return which of as many pictures have a defect: every other one, the second first."""
    return torch.arange(len(rows)) % 2


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
