"""From a DINOv2 backbone to the stem's file: the blocks that are read, int8, and each tap's components."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from s2sw.model.embedded_training.pictures import GRID, QUICK, draw_scenes
from s2sw.model.synthetic.scenes import training_mixture
from s2sw.model.towers.preprocess import normalize
from s2sw.model.towers.shapes import StemShape
from s2sw.model.towers.stem import Stem, standard
from s2sw.model.weights.dinov2 import MEAN, STD, Dinov2Weights
from s2sw.model.weights.int8 import packed, unpacked
from s2sw.model.weights.tensors import load_exactly
from s2sw.schemas.whole_files import BY_UMASK, write_whole

TAPS = (3, 6, 9)
"""Blocks that are read; those after the last are left out."""
KEPT = 128
"""Principal components of a tap."""
SAMPLE = 512
"""Generated pictures that the components are found on."""


def convert(weights: Dinov2Weights, out: Path, pictures: int = SAMPLE, seed: int = 7) -> None:
    """Write the stem's file, whole or not at all."""
    backbone = {f"backbone.{n}": t for n, t in _first_blocks(weights, TAPS[-1]).items()}
    small = packed(backbone)
    shape = StemShape(replace(weights.shape, layers=TAPS[-1]), TAPS, KEPT)
    stem = Stem(shape)
    load_exactly(stem, dict(stem.state_dict()) | unpacked(small), weights.label)
    found = _components(stem, np.random.default_rng([seed, 2]), pictures)
    small |= packed(found)
    write_whole(out, save(dict(sorted(small.items()))), BY_UMASK)


def _first_blocks(weights: Dinov2Weights, count: int) -> dict[str, Tensor]:
    at = "transformer.resblocks."
    return {
        n: t
        for n, t in weights.backbone().items()
        if not n.startswith(at) or int(n.removeprefix(at).split(".")[0]) < count
    }


@torch.inference_mode()
def _components(stem: Stem, rng: np.random.Generator, pictures: int) -> dict[str, Tensor]:
    """Return means and whitening directions of each tap's tokens over generated pictures."""
    stem.backbone.fit_grid(GRID)
    stem.lower(QUICK)
    mean, std = (torch.tensor(c).view(3, 1, 1) for c in (MEAN, STD))
    width = stem.shape.backbone.width
    sums = {
        tap: (torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64))
        for tap in TAPS
    }
    for scene in draw_scenes(rng, training_mixture(0.5), pictures):
        x = normalize(torch.tensor(scene.picture)[None], mean, std)
        for tap, tokens in zip(TAPS, stem.tapped(x), strict=True):
            rows = standard(tokens)[0]
            sums[tap][0].add_(rows.mean(dim=0))
            sums[tap][1].add_(rows.T @ rows / len(rows))
    found = {}
    for tap, (first, second) in sums.items():
        centre = first / pictures
        spread, axes = torch.linalg.eigh(second / pictures - torch.outer(centre, centre))
        found[f"means.{tap}"] = centre
        found[f"directions.{tap}"] = (axes[:, -KEPT:] / spread[-KEPT:].sqrt()).T.flip(0)
    return found
