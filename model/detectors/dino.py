"""DINOv2 alone: patches against those of a few normal pictures, or against those of their own picture.

Source: Damm et al., "AnomalyDINO: Boosting Patch-based Few-shot Anomaly Detection with DINOv2", WACV 2025. By
default blocks at half and three quarters of the depth are compared instead of the last one;
``tap_blocks`` says otherwise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.files import write_bundle
from s2sw.model.bundles.record import BundleRecord, new_record
from s2sw.model.detectors.base import FaceDetector, Scores, mean_of
from s2sw.model.detectors.kinds import DetectorKind, Publication
from s2sw.model.detectors.options import BuildOptions, References, TapBlocks
from s2sw.model.errors import BundleError
from s2sw.model.heads.memory import distance, inputs, remembered
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision, token_type
from s2sw.model.towers.dinov2 import EPSILON, Dinov2
from s2sw.model.towers.packed import pack_when_used
from s2sw.model.towers.self_similarity import nearest_elsewhere
from s2sw.model.towers.shapes import Dinov2Shape, VisionShape
from s2sw.model.weights.dinov2 import MEAN, STD, Dinov2Weights, read_dinov2
from s2sw.model.weights.tensors import load_exactly

NAME = "dino"
SIDE = 448
HIGHEST = 0.01
"""Share of the patches whose mean is the image score."""
FEW_SHOT, ALONE = "few_shot", "unlike"
"""The family of scores with normal pictures to compare with, and without."""


class Dino(FaceDetector):
    """The detector over a loaded bundle; one family of scores, see FEW_SHOT and ALONE."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, device, precision)
        vision, settings = record.vision, record.settings
        self.taps: tuple[int, ...] = tuple(settings["taps"])
        shape = Dinov2Shape(
            vision.width, vision.layers, vision.heads, vision.patch, vision.grid, settings["registers"]
        )
        visual = {n.removeprefix("visual."): t for n, t in tensors.items() if n.startswith("visual.")}
        with torch.device("meta"):
            self.tower = Dinov2(shape)
        load_exactly(self.tower, visual, "bundle")
        self.tower.fit_grid(record.grid)
        self.tower.to(self.device, token_type(precision))
        pack_when_used(self.tower.transformer, precision)
        self.norm = [tensors[f"ln_post.{kind}"].to(self.device) for kind in ("weight", "bias")]
        kept = [tensors.get(f"memory.{tap}") for tap in self.taps]
        self.memory = [tensor.to(self.device) for tensor in kept if tensor is not None]

    @property
    @override
    def tap_names(self) -> tuple[str, ...]:
        return tuple(f"block_{number}" for number in self.taps)

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        return (MapLayer(self.grid, self.image_size),)

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        found = self.tapped(x)
        apart = (
            [distance(patches, known) for patches, known in zip(found, self.memory, strict=True)]
            if self.memory
            else [nearest_elsewhere(functional.normalize(patches, dim=-1))[..., 0] for patches in found]
        )
        tokens = (torch.stack(apart).mean(dim=0) / 2).clamp(min=0)
        count = max(1, round(HIGHEST * tokens.shape[1]))
        highest = tokens.topk(count, dim=1).values.mean(dim=1, keepdim=True)
        return mean_of(highest, tokens.reshape(-1, self.grid, self.grid))

    def tapped(self, x: Tensor) -> list[Tensor]:
        """Return the taps' patches (B, g * g, width), float32; the published norm follows the last block."""
        found = [patches.float() for patches in self.tower.patches(x, self.taps)]
        if self.taps[-1] == len(self.tower.transformer):
            weight, bias = self.norm
            found[-1] = functional.layer_norm(found[-1], weight.shape, weight, bias, EPSILON)
        return found

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the mean patch (B, width) of the last tap, and each tap's tokens, the mean patch first."""
        taps = self.tapped(x.to(self.device))
        return taps[-1].mean(dim=1), [torch.cat([t.mean(dim=1, keepdim=True), t], dim=1) for t in taps]


class DinoOptions(BuildOptions):
    """What a bundle of DINOv2 is built from."""

    stem: Annotated[
        str | Path | Dinov2Weights,
        Field(
            description="weights of DINOv2 ViT-S/14, B/14 or L/14, with registers or without: a `.pt`, "
            "`.pth` or `.safetensors` file in the original, timm's or Hugging Face's naming"
        ),
    ]
    tap_blocks: TapBlocks = None
    references: References = None


def bundle(out: Path, image_size: int, options: DinoOptions, trained: bool) -> Path:
    """Write a bundle of DINOv2 weights and, where normal pictures are given, of their patches.

    references: uint8 (K, H, W, 3) or normalised float (K, 3, S, S).
    """
    stem, references = options.stem, options.references
    weights = stem if isinstance(stem, Dinov2Weights) else read_dinov2(Path(stem))
    record = _record(weights, image_size, options.tap_blocks, trained=trained)
    tensors = {f"visual.{name}": tensor for name, tensor in weights.backbone().items()}
    tensors |= {name: t for name, t in weights.tensors.items() if name.startswith("ln_post.")}
    if references is not None:
        tensors |= _memory(Dino(record, dict(tensors), "cpu", "fp32"), references)
        record = record.model_copy(update={"family_names": (FEW_SHOT,)})
    return write_bundle(out, tensors, record)


def _record(weights: Dinov2Weights, side: int, taps: Sequence[int] | None, *, trained: bool) -> BundleRecord:
    shape = weights.shape
    chosen = tuple(taps or (max(1, shape.layers // 2), max(1, 3 * shape.layers // 4)))
    if list(chosen) != sorted(set(chosen) & set(range(1, shape.layers + 1))):
        raise BundleError(f"tap_blocks: {chosen} given; ascending blocks from 1 to {shape.layers} are needed")
    if side < shape.patch:
        raise BundleError(f"image_size: {side} is below one patch of {shape.patch} px")
    return new_record(
        detector=NAME,
        image_size=side,
        grid=side // shape.patch,
        vision=VisionShape(
            shape.width, shape.layers, shape.heads, shape.patch, shape.grid, shape.width, "gelu"
        ),
        mean=MEAN,
        std=STD,
        settings={"taps": chosen, "registers": shape.registers},
        family_names=(ALONE,),
        weights_sha256="",
        clip=weights.label,
        prompts="none: patches are compared with each other",
        trained=trained,
    )


@torch.inference_mode()
def _memory(detector: Dino, references: Any) -> dict[str, Tensor]:
    """Return the normalised patches (K * g * g, width) of normal pictures, by tap."""
    pictures = inputs(detector.prepare, references, "references")
    if not len(pictures):
        raise BundleError("references: no picture given; give a few normal ones")
    seen = [detector.tapped(one[None]) for one in pictures]
    together = zip(detector.taps, zip(*seen, strict=True), strict=True)
    return {f"memory.{tap}": remembered(torch.cat(parts)) for tap, parts in together}


KIND = DetectorKind(
    None,
    Dino,
    DinoOptions,
    Publication(
        name="DINOv2's patches, as AnomalyDINO (WACV 2025) compares them",
        checkpoint="DINOv2 ViT-S/14, B/14 or L/14, which you download yourself",
        licence="Apache-2.0 (DINOv2)",
        trained_on="pictures without labels",
        means="needs no prompts and no training; works best with a few normal pictures",
    ),
    image_size=SIDE,
    clip="its own",
    bundle=bundle,
)
