"""Training APRIL-GAN's linear layers, one a tap: focal and Dice on the same maps as inference.

Source: Chen et al., VAND workshop 2023: class vectors of each picture's own class name, no image loss.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.detectors.tower_detector import quarters
from s2sw.model.heads.april_linear import LinearLayers
from s2sw.model.prompts.class_prompts import APRIL_GAN, class_vectors
from s2sw.model.training.losses import dice, focal
from s2sw.model.training.trainees import Batch, Plain, initial, leaves
from s2sw.model.training.visual import Pass
from s2sw.model.weights.clip import ClipWeights


@dataclass(frozen=True)
class AprilGanTrainee(Plain):
    """APRIL-GAN's linear layers. vectors: (classes, 2, C) of the names, fixed."""

    parameters: dict[str, Tensor]
    use: Pass
    names: tuple[str, ...]
    vectors: Tensor

    def losses(self, batch: Batch, draw: random.Random) -> dict[str, Tensor]:
        """Return focal and Dice losses summed over the taps, and their sum."""
        vectors = self.vectors[[self.names.index(name) for name in batch.classes]]
        both = self.layers().logits(batch.features.taps, vectors)
        size = batch.masks.shape[-2:]
        shares = [
            functional.interpolate(one, size=size, mode="bilinear", align_corners=True).softmax(dim=1)
            for one in both
        ]
        focals = torch.stack([focal(share, batch.masks) for share in shares]).sum()
        dices = torch.stack([dice(share[:, 1], batch.masks) for share in shares]).sum()
        return {"total": focals + dices, "focal": focals, "dice": dices}

    def layers(self) -> LinearLayers:
        """Return the layers as inference takes them, with gradient."""
        weight, bias = (
            torch.stack([self.parameters[f"fc.{n}.{part}"] for n in range(len(self.use.tap_blocks))])
            for part in ("weight", "bias")
        )
        return LinearLayers(weight, bias)

    def options(self) -> dict[str, Any]:
        """Return the bundle's options."""
        layers = self.layers()
        linear = LinearLayers(layers.weight.detach().cpu(), layers.bias.detach().cpu())
        return {"linear": linear, "class_name": self.names}


def april_gan_trainee(
    clip: ClipWeights, names: Sequence[str], begun: LinearLayers, device: torch.device
) -> AprilGanTrainee:
    """Return APRIL-GAN's trainee for pictures of these classes; the text tower is read once, on the CPU."""
    taps = quarters(clip.vision.layers)
    named = {f"fc.{n}.weight": weight for n, weight in enumerate(begun.weight)}
    named |= {f"fc.{n}.bias": bias for n, bias in enumerate(begun.bias)}
    vectors = class_vectors(clip.text_tower(), names, APRIL_GAN).clone().to(device)
    return AprilGanTrainee(leaves(named, device), Pass("bicubic", None, taps), tuple(names), vectors)


def drawn(clip: ClipWeights, seed: int) -> LinearLayers:
    """Draw layers to begin with from a seed, spread as torch's own linear layers are."""
    vision = clip.vision
    generator = torch.Generator().manual_seed(seed)
    shape = (len(quarters(vision.layers)), vision.embed_dim)
    std = (3 * vision.width) ** -0.5
    return LinearLayers(initial((*shape, vision.width), std, generator), initial(shape, std, generator))
