"""Prompt learning of S2SWCLIP and AnomalyCLIP: gradients reach the prompts through the text tower alone.

Source: method, section 7; AnomalyCLIP's loss is that of S2SWCLIP's object family without the pair loss.
"""

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.detectors import anomalyclip
from s2sw.model.detectors.options import read_options
from s2sw.model.detectors.s2swclip import S2swClipOptions, check_grid, resolve_settings
from s2sw.model.detectors.tower_detector import quarters
from s2sw.model.heads.fusion import FAMILIES, class_vectors
from s2sw.model.prompts.families import WORDS
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.training.losses import image_logits, map_loss, pair_loss, step_losses
from s2sw.model.training.recipes import Recipe
from s2sw.model.training.trainees import Batch, How, Plain, Prompts
from s2sw.model.training.visual import Pass
from s2sw.model.weights.clip import ClipWeights

PAIRED = ("object", "state", "fused")
BOTH_RANDOM = 0.2
RELEASED_TAPS = 4


@dataclass(frozen=True)
class S2swClipTrainee(Plain):
    """S2SWCLIP's prompts. taps: as of its bundle; the released program counts its one tap four times."""

    prompts: Prompts
    use: Pass
    recipe: Recipe
    taps: str

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Names of the published checkpoint to the prompts."""
        return self.prompts.parameters

    def losses(self, batch: Batch, draw: random.Random) -> dict[str, Tensor]:
        """Return image, pair, pixel_object and pixel_state losses, and their weighted total."""
        text = self.prompts.features()
        vectors = class_vectors(text["state"], text["object"], text["defect"])
        features = batch.features
        found = step_losses(features.image, features.taps, vectors, batch.masks, batch.labels)
        count = RELEASED_TAPS / len(features.taps)  # the released four taps are one and the same tensor
        logits = dict(zip(FAMILIES, image_logits(features.image, vectors), strict=True))
        pair = torch.stack([_pair(logits[family], batch.labels, draw) for family in PAIRED]).sum()
        named = {
            "image": found.image.sum(),
            "pair": pair,
            "pixel_object": count * found.pixel_object,
            "pixel_state": count * found.pixel_state,
        }
        weights = {"pair": self.recipe.pair, "pixel_object": self.recipe.pixel_object}
        total = torch.stack([weights.get(name, 1.0) * loss for name, loss in named.items()]).sum()
        return {"total": total, **named}

    def options(self) -> dict[str, Any]:
        """Return the bundle's options."""
        wavelet = self.recipe.wavelet
        return {"prompts": self.prompts.trained(), "mix": (1 - wavelet, wavelet), "taps": self.taps}


def _pair(logits: Tensor, labels: Tensor, draw: random.Random) -> Tensor:
    """Return the pair loss of two drawn pictures; zero where there is one alone."""
    count = len(labels)
    if count < 2:
        return logits.new_zeros(())
    first, second = (
        draw.sample(range(count), 2) if draw.random() < BOTH_RANDOM else (0, draw.randrange(1, count))
    )
    return pair_loss(logits, labels, first, second)


def s2swclip_trainee(
    clip: ClipWeights, recipe: Recipe, begun: LearnedPrompts, how: How, taps: str = "released"
) -> S2swClipTrainee:
    """Return S2SWCLIP's trainee; taps: "released" or "per_layer".

    Raises BundleError for a bundle's size that the wavelets cannot take: before the work, not after it.
    """
    check_grid(recipe.screen_size, clip.vision.patch)
    settings = resolve_settings(clip.vision.layers, read_options("s2swclip", S2swClipOptions, {"taps": taps}))
    use = Pass("bilinear", settings.two_stream_from, settings.tap_blocks)
    return S2swClipTrainee(Prompts(clip.text_tower(), tuple(WORDS), begun, how), use, recipe, taps)


@dataclass(frozen=True)
class AnomalyClipTrainee(Plain):
    """AnomalyCLIP's prompts."""

    prompts: Prompts
    use: Pass

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Names of the published checkpoint to the prompts."""
        return self.prompts.parameters

    def losses(self, batch: Batch, draw: random.Random) -> dict[str, Tensor]:
        """Return the image loss and the pixel loss, on the same maps as inference, and their sum."""
        vectors = functional.normalize(self.prompts.features()[anomalyclip.FAMILY], dim=-1)
        image = functional.cross_entropy(
            anomalyclip.logits(batch.features.image, vectors), batch.labels.long()
        )
        shares = [anomalyclip.logits(tap, vectors).softmax(dim=-1) for tap in batch.features.taps]
        pixel = torch.stack([map_loss(share, batch.masks) for share in shares]).sum()
        return {"total": image + pixel, "image": image, "pixel": pixel}

    def options(self) -> dict[str, Any]:
        """Return the bundle's options."""
        return {"prompts": self.prompts.trained()}


def anomalyclip_trainee(clip: ClipWeights, begun: LearnedPrompts, how: How) -> AnomalyClipTrainee:
    """Return AnomalyCLIP's trainee: two streams after a quarter of the tower, its last block tapped."""
    first, *_, last = quarters(clip.vision.layers)
    prompts = Prompts(clip.text_tower(), (anomalyclip.FAMILY,), begun, how)
    return AnomalyClipTrainee(prompts, Pass("bilinear", first, (last,)))
