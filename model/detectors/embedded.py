"""The embedded detector: S2SWCLIP's head over DINOv2's patch tokens, its scores calibrated as probabilities.

Calibration: Platt, "Probabilistic outputs for support vector machines", 1999, on generated pictures. With
normal pictures to compare with, a memory of their patches on the same stem has its say as well.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2sw.model.bundles.files import write_bundle
from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.contract import Built, DetectorKind, refuse_unknown
from s2sw.model.detectors.s2swclip import S2swClip, settle
from s2sw.model.errors import BundleError
from s2sw.model.heads.fusion import FAMILIES
from s2sw.model.heads.memory import inputs
from s2sw.model.heads.stem_memory import StemMemory, highest, memory_of, remember
from s2sw.model.precision import Precision
from s2sw.model.towers.shapes import vision_shape
from s2sw.model.towers.stem import COMPARED
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.dinov2 import MEAN, STD
from s2sw.model.weights.shipped import HEAD, STEM, whole_tensors
from s2sw.model.weights.tensors import read_tensors

NAME = "embedded"
TWO_STREAM_FROM = 2
SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their odds are taken."""
EVIDENCE = (*FAMILIES, "map")
"""The columns of family scores: the four families of the image feature, and the map's highest patches."""
FEW_SHOT = "few_shot"
"""The further column with normal pictures: how far the highest patches are from them."""
CLIP = "DINOv2 ViT-S/14, nine blocks, and a tower trained over them"
PROMPTS = "class vectors trained on generated pictures, no text"


def log_odds(probability: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of probabilities, finite."""
    return torch.logit(probability, SMALLEST)


def evidence(families: Tensor, tokens: Tensor) -> Tensor:
    """Return log odds (B, 5) of family scores (B, 4) and of the highest patches of token maps (B, g, g)."""
    return log_odds(torch.cat([families, highest(tokens)[:, None]], dim=1))


class Embedded(S2swClip):
    """The detector over a loaded bundle. Family scores are calibrated alone, the image score as a whole."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        named = {
            n: t.to(self.device) for n, t in tensors.items() if n.startswith(("calibration.", "memory."))
        }
        self.lines, self.line = named["calibration.families"], named["calibration.image"]
        self.memory: StemMemory | None = None
        if FEW_SHOT in record.family_names:
            self.memory = memory_of(named, self.device)
            self.patch_line, self.few_shot_line = named["calibration.patch"], named["calibration.few_shot"]

    @property
    def shares_streams(self) -> bool:
        """Whether the two-stream pass is all that scores depend on; a memory reads the stem as well."""
        return self.memory is None

    def heads(self, seen: TowerOutput) -> tuple[Tensor, Tensor]:
        """Map what the tower gives to calibrated scores (B, 5) and token maps (B, g, g), 0..1."""
        families, tokens = super().heads(seen)
        slope, offset = self.lines.unbind(dim=1)
        return torch.sigmoid(slope * evidence(families, tokens) + offset), tokens

    def score(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map normalised pictures (B, 3, S, S) to scores (B, 5 or 6) and token maps (B, g, g), 0..1."""
        taps = self.tower.stem.tapped(x)
        scores, tokens = self.heads(self._over(taps))
        if self.memory is None:
            return scores, tokens
        unlike = self.memory.unlike(taps)
        few_shot = torch.sigmoid(self.memory.picture(unlike))
        odds = torch.stack([log_odds(tokens), unlike.reshape_as(tokens)], dim=-1)
        both = odds @ self.patch_line[:-1] + self.patch_line[-1]
        return torch.cat([scores, few_shot[:, None]], dim=1), torch.sigmoid(both)

    def streams(self, x: Tensor) -> TowerOutput:
        """Run the tower: final class token (B, width) and the raw v-v streams (B, N, width) at the taps."""
        return self._over(self.tower.stem.tapped(x))

    def _over(self, taps: list[Tensor]) -> TowerOutput:
        tokens = self.tower.embed_patches(self.tower.stem.described(taps))
        return self.tower.two_stream(tokens, self.stream_blocks.start, self.stream_blocks.taps)

    def image_score(self, family_scores: Tensor) -> Tensor:
        """Return the image scores (B,), 0..1, of calibrated scores (B, 5 or 6)."""
        count = len(EVIDENCE)
        odds = log_odds(family_scores)
        zero_shot = odds[:, :count] @ self.line[:-1] + self.line[-1]
        if self.memory is None:
            return torch.sigmoid(zero_shot)
        both = torch.stack([zero_shot, odds[:, count]], dim=-1)
        return torch.sigmoid(both @ self.few_shot_line[:-1] + self.few_shot_line[-1])

    @torch.inference_mode()
    def patch_features(self, x: Tensor) -> list[tuple[str, Tensor]]:
        """Return name and patches, float32 (B, g * g, width), of the stem's taps that are compared."""
        numbers = self.tower.stem.shape.taps[-COMPARED:]
        taps = self.tower.stem.tapped(x.to(self.device))[-COMPARED:]
        return [(f"block_{number}", tap.float()) for number, tap in zip(numbers, taps, strict=True)]


def embedded_record(tensors: Mapping[str, Tensor]) -> BundleRecord:
    """Return the record of a bundle of these tensors, not yet sealed."""
    vision = vision_shape(tensors, "embedded weights", "gelu", None)
    return BundleRecord(
        detector=NAME,
        image_size=vision.grid * vision.patch,
        grid=vision.grid,
        vision=vision,
        mean=MEAN,
        std=STD,
        settings=asdict(settle(vision.layers, {"two_stream_from": TWO_STREAM_FROM})),
        family_names=EVIDENCE,
        weights_sha256="",
        clip=CLIP,
        prompts=PROMPTS,
        trained=True,
    )


def bundle_of(stem: Mapping[str, Tensor], head: Mapping[str, Tensor], out: Path) -> Path:
    """Write a bundle, float32, of a packed stem and of a trained network's tensors over it."""
    tensors = whole_tensors(stem, head)
    return write_bundle(out, tensors, embedded_record(tensors))


def bundle(out: Path, image_size: int | None, options: Mapping[str, Any], *, trained: bool) -> Path:
    """Write a bundle of the shipped weights and, where normal pictures are given, of their patches.

    Options: references, normal pictures, uint8 (K, H, W, 3) or normalised float (K, 3, S, S).
    """
    refuse_unknown(NAME, options, {"references"})
    tensors = whole_tensors(read_tensors(STEM), read_tensors(HEAD))
    record = embedded_record(tensors)
    if image_size not in (None, record.image_size):
        raise BundleError(f"image_size: {image_size} given; the embedded detector has {record.image_size}")
    if (references := options.get("references")) is not None:
        tensors |= remembered(Embedded(record, dict(tensors), "cpu", "fp32"), references).tensors()
        record = record.model_copy(update={"family_names": (*EVIDENCE, FEW_SHOT)})
    return write_bundle(out, tensors, record)


@torch.inference_mode()
def remembered(detector: Embedded, references: Any) -> StemMemory:
    """Return the memory of normal pictures."""
    pictures = inputs(detector.prepare, references, "references")
    if not len(pictures):
        raise BundleError("references: no picture given; give a few normal ones")
    both = (torch.stack([one, one.flip(-1)]) for one in pictures)
    return remember([detector.tower.stem.tapped(two) for two in both])


def _no_clip(clip: ClipWeights, image_size: int, options: Mapping[str, Any]) -> Built:
    raise BundleError("clip: the embedded detector takes no CLIP; leave it out")


KIND = DetectorKind(_no_clip, Embedded, image_size=350, bundle=bundle)
