"""The bundles and pictures that the stages work on."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.detector_speed import SIDE, make_bundle
from benchmarks.gpu.options import Options
from s2sw.model import load_detector
from s2sw.model.bundles.record import RECORD, WEIGHTS
from s2sw.model.detectors.finding import embedded_bundle
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.precision import Precision
from s2sw.model.towers.packed import as_on_a_gpu
from s2sw.model.weights.untrained import VIT_L_14_336, Shape
from s2sw.pipeline.imaging.tiles import views

TINY, TINY_SIDE = Shape(width=128, layers=4, patch=14, grid=5, joint=64, text_width=64, text_layers=1), 98
OWN = "own.safetensors"
"""A bundle's tensors but for the tower's, as carried: the text side, computed where open_clip is."""
REAL = "real.npz"
"""Real pictures, as carried: uint8 (N, rows, cols), grey."""


def shape(options: Options) -> tuple[Shape, int]:
    return (TINY, TINY_SIDE) if options.quick else (VIT_L_14_336, SIDE)


def make_large(options: Options) -> None:
    """Write the bundle of ViT-L/14@336 shapes, or a tiny one; the folder appears whole."""
    make_bundle(options.work, *shape(options))


def restored(carried: Path, visual: dict[str, Tensor], folder: Path) -> Path:
    """Write a bundle again of its record, its own tensors and a tower; loading it checks every byte."""
    folder.mkdir()
    tensors = load_file(carried / OWN) | visual
    save_file({name: tensor.contiguous() for name, tensor in sorted(tensors.items())}, folder / WEIGHTS)
    (folder / RECORD).write_bytes((carried / RECORD).read_bytes())
    return folder


def load(bundle: Path, options: Options, precision: Precision) -> S2swClip:
    with as_on_a_gpu():  # a rehearsal on a CPU
        detector = load_detector(bundle, device=options.device, precision=precision)
    assert isinstance(detector, S2swClip)
    return detector


def load_embedded(options: Options, precision: Precision) -> S2swClip:
    return load(embedded_bundle(options.work), options, precision)


def real_pictures(options: Options, side: int) -> NDArray[np.uint8] | None:
    """Return the carried real pictures as a detector takes them, uint8 (N, side, side, 3); None without."""
    path = options.carried / REAL
    if not path.is_file():
        return None
    with np.load(path) as stored:
        some = stored["pictures"][: 8 if options.quick else None]
    return np.stack([next(views(one, side, [])) for one in some])


@torch.inference_mode()
def whole_pass(detector: S2swClip, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Run tower, head and full map over normalised pictures on the device; nothing leaves it.

    Returns family scores (B, 4), token maps (B, g, g) and full maps (B, S, S).
    """
    seen = detector.streams(x)
    tokens = detector.token_map(detector.tower.project(seen.taps[0]))
    return detector.families(detector.image_feature(seen.final)), tokens, detector.full_map(tokens)


def apart(one: Tensor, other: Tensor) -> dict[str, float]:
    """Return mean and largest absolute difference."""
    difference = (one.float() - other.float()).abs()
    return {"mean": float(difference.mean()), "max": float(difference.max())}


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Return Spearman's correlation of two lists of scores."""
    from scipy.stats import (
        spearmanr,
    )  # here: it takes as long to import as torch, and most stages need it not

    found: Any = spearmanr(one.numpy(), other.numpy())
    return float(found.statistic)
