"""APRIL-GAN: class-specific prompts, a learned linear layer for each of four taps, and a memory of normals.

Source: Chen et al., "A Zero-/Few-Shot Anomaly Classification and Segmentation Method for CVPR 2023 VAND
Workshop Challenge", as its released program computes it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores, mean_of
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication, draft_record
from s2sw.model.detectors.options import BuildOptions, ClassNames, Pictures, References, TapBlocks
from s2sw.model.detectors.tower_detector import TowerDetector, known_blocks, quarters
from s2sw.model.errors import BundleError
from s2sw.model.heads.april_linear import SCALE, LinearLayers, read_linear
from s2sw.model.heads.memory import Rows, by_class, distance, inputs, pictures_by_class, remembered
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision
from s2sw.model.prompts.class_prompts import APRIL_GAN, class_vectors
from s2sw.model.weights.clip import ClipWeights

log = logging.getLogger(__name__)

UNSCALED = (0.0, 1.0)
FARTHEST = 2.0
"""Largest 1 - cosine of a patch to the memory: with it a tap's share of the few-shot map reaches 3."""


class AprilGan(TowerDetector):
    """The detector over a loaded bundle, with a memory or without one.

    Family scores: text, and few_shot where there is a memory. Published maps are sums, here divided by their
    largest possible value: 4, and 12 with a memory.
    """

    positions = "bicubic"
    smooth = False
    corners = True

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.vectors = tensors["class_vectors"].to(self.device)
        self.linear = LinearLayers(*(tensors[f"linear.{n}"].to(self.device) for n in ("weight", "bias")))
        self.exact = record.settings["maps"] == "exact"
        names = [f"memory.{row}" for row in range(len(record.class_names))]
        self.memory = [tensors[n].to(self.device) for n in names if n in tensors]
        self.published_map = len(self.tap_blocks) * (1 + FARTHEST * bool(self.memory))
        self.span: tuple[float, float] = tuple(record.settings.get("calibration", UNSCALED))

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The logits of each tap, and the distances to the memory; in compact form all in one grid."""
        if not self.exact:
            return super().map_layers
        share = 1 / self.published_map
        logits = MapLayer(self.grid, self.image_size, smooth=False, corners=True, logit=True, weight=share)
        distances = replace(logits, logit=False)
        return (logits,) * len(self.tap_blocks) + (distances,) * bool(self.memory)

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        final, taps = self.tower.plain(self.tower.embed(x), self.tap_blocks)
        vectors = self.vectors[classes]
        feature = functional.normalize(self.tower.project(final[:, 0]), dim=-1)
        text = (SCALE * torch.einsum("bc,bkc->bk", feature, vectors)).softmax(dim=-1)[:, 1]
        both = torch.stack(self.linear.logits(taps, vectors))
        layers = list(both[:, :, 1] - both[:, :, 0])
        if self.memory:
            layers.append(self.distances(taps, classes))
        tokens = torch.stack(layers, dim=1) if self.exact else self._compact(layers)
        return mean_of(torch.stack([text, *self._few_shot(tokens)], dim=1), tokens)

    def _compact(self, layers: list[Tensor]) -> Tensor:
        logits = torch.stack(layers[: len(self.tap_blocks)]).sigmoid()
        return torch.stack([*logits, *layers[len(self.tap_blocks) :]]).sum(dim=0) / self.published_map

    def distances(self, taps: Sequence[Tensor], classes: Tensor) -> Tensor:
        """Return the sum over taps of the distance to the memory of the picture's class, (B, g, g)."""

        def of_class(kind: int, rows: Rows) -> Tensor:
            near = [distance(t[rows, 1:], m) for t, m in zip(taps, self.memory[kind], strict=True)]
            return torch.stack(near).sum(dim=0).reshape(-1, self.grid, self.grid)

        return by_class(classes, of_class)

    def _few_shot(self, tokens: Tensor) -> list[Tensor]:
        """Return the map's maximum (B,), scaled by the calibration to 0..1; none without a memory."""
        if not self.memory:
            return []
        low, high = self.span
        highest = self.full_map(tokens).flatten(1).amax(dim=1)
        return [((highest - low) / (high - low)).clamp(0, 1)]

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        final, taps = self.tower.plain(self.tower.embed(x.to(self.device)), self.tap_blocks)
        return self.tower.project(final[:, 0]), taps


class AprilGanOptions(BuildOptions):
    """What an APRIL-GAN bundle is built from."""

    class_name: ClassNames
    linear: Annotated[
        str | Path | LinearLayers,
        Field(description="the learned linear layers: a checkpoint with `trainable_linearlayer`"),
    ]
    tap_blocks: TapBlocks = None
    maps: Literal["exact", "compact"] = Field(
        "exact", description="`exact`: a grid of logits per tap; `compact`: one grid of values in 0..1"
    )
    references: References = None
    calibration: Annotated[
        Any,
        Pictures(or_numbers=True),
        Field(
            description="with references: `LOW,HIGH`, the map maxima (0..1) that become 0 and 1 in the image "
            "score; or pictures like those to be screened, from which both are measured; by default the "
            "maximum is not scaled"
        ),
    ] = None


def build(clip: ClipWeights, image_size: int, options: AprilGanOptions) -> Built:
    """Compute the class vectors and, of normal pictures, the memory."""
    names = options.class_name
    layers = clip.vision.layers
    taps = known_blocks(options.tap_blocks or quarters(layers), 1, layers)
    linear = _linear(options.linear, clip, len(taps))
    references = _references(options, names)
    vectors = class_vectors(clip.text_tower(), names, APRIL_GAN)
    tensors = {"class_vectors": vectors, "linear.weight": linear.weight, "linear.bias": linear.bias}
    settings = {"class_names": names, "tap_blocks": taps, "maps": options.maps}
    built = Built(tensors, settings, ("text",), f"class names in {len(APRIL_GAN.templates)} templates")
    return _few_shot(clip, image_size, built, references, options.calibration) if references else built


def _references(options: AprilGanOptions, names: Sequence[str]) -> list[Any]:
    """Return the normal pictures of each class; empty without references."""
    references, calibration = options.references, options.calibration
    if references is None:
        if calibration is not None:
            raise BundleError("calibration: it is for the few-shot score; give references too, or neither")
        return []
    if calibration is None:
        log.warning("no calibration is given: the few-shot score is not scaled and has little weight")
    return pictures_by_class(references, names, "references")


def _linear(given: str | Path | LinearLayers, clip: ClipWeights, taps: int) -> LinearLayers:
    width, joint = clip.vision.width, clip.vision.embed_dim
    if not isinstance(given, LinearLayers):
        return read_linear(Path(given), taps, width, joint)
    if given.weight.shape != (taps, joint, width) or given.bias.shape != (taps, joint):
        raise BundleError(
            f"linear: weight {tuple(given.weight.shape)} and bias {tuple(given.bias.shape)} given; "
            f"this CLIP and {taps} taps need {(taps, joint, width)} and {(taps, joint)}"
        )
    return given


@torch.inference_mode()
def _few_shot(
    clip: ClipWeights, image_size: int, built: Built, references: list[Any], calibration: Any
) -> Built:
    """Return the same with a memory for each class and the span of the map's maximum."""
    zero_shot = _loaded(clip, image_size, built)
    memory = {}
    for row, pictures in enumerate(references):
        parts = [
            zero_shot.encode_image(one[None])[1] for one in inputs(zero_shot.prepare, pictures, "references")
        ]
        taps = [torch.cat(tap)[:, 1:] for tap in zip(*parts, strict=True)]
        memory[f"memory.{row}"] = torch.stack([remembered(tap) for tap in taps])
    made = replace(built, tensors=built.tensors | memory, family_names=("text", "few_shot"))
    span = _span(clip, image_size, made, calibration)
    return replace(made, settings=built.settings | {"calibration": span})


def _span(clip: ClipWeights, image_size: int, built: Built, given: Any) -> tuple[float, float]:
    """Return the calibration's two values; pictures are measured with the memory in place."""
    if given is None:
        return UNSCALED
    if isinstance(given, tuple | list) and len(given) == 2:
        low, high = map(float, given)
    else:
        highest = _highest(_loaded(clip, image_size, built), given)
        low, high = float(highest.min()), float(highest.max())
    if not low < high:
        raise BundleError(f"calibration: lowest {low} and highest {high}; two different values are needed")
    return low, high


def _highest(detector: AprilGan, given: Any) -> Tensor:
    """Return the maximum of the map of each calibration picture."""
    found = []
    names = detector.class_names
    for name, pictures in zip(names, pictures_by_class(given, names, "calibration"), strict=True):
        x = inputs(detector.prepare, pictures, "calibration")
        tokens = detector.detect_normalized(x, [name] * len(x)).token_map
        found.append(detector.full_map(tokens).flatten(1).amax(dim=1))
    return torch.cat(found)


def _loaded(clip: ClipWeights, image_size: int, built: Built) -> AprilGan:
    record = draft_record("april_gan", clip, image_size, built)
    return AprilGan(record, clip.bundled(built.tensors), "cpu", "fp32")


KIND = DetectorKind(
    build,
    AprilGan,
    AprilGanOptions,
    Publication(
        name="APRIL-GAN (CVPR 2023 VAND workshop)",
        checkpoint="linear layers, `trainable_linearlayer` in a `.pth`",
        licence="MIT",
        trained_on="the test pictures of MVTec AD, or of VisA",
        means="made for industrial parts; needs class names; MVTec AD is licensed for non-commercial use; "
        "measure it first on medical pictures",
    ),
)
