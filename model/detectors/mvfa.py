"""MVFA-AD: adapters inside the plain tower at four levels, one head for pixels and one for pictures; medical.

Source: Huang et al., "Adapting Visual-Language Models for Generalizable Anomaly Detection in Medical Images",
CVPR 2024, as its released program computes it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication, draft_record
from s2sw.model.detectors.options import BuildOptions, ClassNames, References, TapBlocks
from s2sw.model.detectors.references import remember
from s2sw.model.detectors.tower_detector import TowerDetector, highest, taps_of
from s2sw.model.heads.adapters import Bottleneck
from s2sw.model.heads.augmentation import eleven_fold
from s2sw.model.heads.memory import Memory, inputs, pictures_by_class
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision
from s2sw.model.prompts.class_prompts import APRIL_GAN, class_vectors
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.released import read_parts

REAL_NAME = {
    "Brain": "Brain",
    "Liver": "Liver",
    "Retina_RESC": "retinal OCT",
    "Retina_OCT2017": "retinal OCT",
    "Chest": "Chest X-ray film",
    "Histopathology": "histopathological image",
}
"""What the published classes are called in the prompts; any other class name stands for itself."""

SEG, DET = "seg", "det"
LOGIT_SCALE = 100.0
KEPT, ADDED = 0.8, 0.1
"""Shares of a block's output and of what comes back from each adapter."""
FARTHEST = 2.0
"""Largest 1 - cosine of a patch to the memory."""
ZERO_SHOT = ("zero_det", "zero_seg_max")
FEW_SHOT = ("few_seg_max", "few_det_mean")


Seen = dict[str, list[Tensor]]
"""What the adapters of each head say at each level: (B, N, C), class token first."""


class Mvfa(TowerDetector):
    """The detector over a loaded bundle, with a memory or without one.

    Family scores, 0..1: zero_det, the text score of the picture; zero_seg_max, the maximum of the text map;
    with a memory few_seg_max and few_det_mean, the maximum of its map and the mean of its det map. The
    published program scales each part by its lowest and highest value over a test set; here scales are fixed.
    """

    positions = "bicubic"
    smooth = False
    corners = True

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.vectors = tensors["class_vectors"].to(self.device)
        dtype = self.tower.conv1.weight.dtype
        self.adapters = {
            head: [
                Bottleneck(
                    *(tensors[f"{head}.{level}.{way}"].to(self.device, dtype) for way in ("down", "up"))
                )
                for level in range(len(self.tap_blocks))
            ]
            for head in (SEG, DET)
        }
        self.memory = Memory.read(tensors, self.device)
        self.head: str = record.settings["head"]
        self.published_score = self.published_map = float(len(self.tap_blocks))

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The text logits of each level, and the distances to the memory."""
        both = 2 if self.memory else 1
        logits = MapLayer(self.grid, self.image_size, smooth=False, corners=True, logit=True)
        text = replace(logits, weight=1 / (both * self.published_map))
        distances = replace(logits, logit=False, weight=1 / (both * FARTHEST * self.published_map))
        return (text,) * len(self.tap_blocks) + (distances,) * bool(self.memory)

    def levels(self, x: Tensor) -> Seen:
        """Run the tower over pictures (B, 3, S, S); adapters read each level and change what goes on."""
        seen: Seen = {SEG: [], DET: []}

        def at(level: int) -> Callable[[Tensor], Tensor]:
            def hook(hidden: Tensor) -> Tensor:
                seg, seg_back = self.adapters[SEG][level](hidden)
                det, det_back = self.adapters[DET][level](hidden)
                seen[SEG].append(seg.float())
                seen[DET].append(det.float())
                return KEPT * hidden + ADDED * seg_back + ADDED * det_back

            return hook

        hooks = {block: at(level) for level, block in enumerate(self.tap_blocks)}
        self.tower.plain(self.tower.embed(x), hooks=hooks)
        return seen

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        seen, vectors = self.levels(x), self.vectors[classes]
        seg, det = ([anomaly_logits(level[:, 1:], vectors) for level in seen[head]] for head in (SEG, DET))
        zero_det = torch.stack([level.sigmoid().mean(dim=1) for level in det]).mean(dim=0)
        tokens = torch.stack([self._square(level) for level in seg], dim=1)
        zero_map = self.text_map(tokens)
        families = [zero_det, highest(zero_map)]
        if not self.memory:
            return Scores(families[self.head == SEG], torch.stack(families, dim=1), tokens)
        near, near_det = (self._square(self.distances(seen, head, classes)) for head in (SEG, DET))
        few_map, few_det = self.memory_map(near), self.memory_map(near_det).mean(dim=(1, 2))
        image = highest((zero_map + few_map) / 2) if self.head == SEG else (zero_det + few_det) / 2
        families += [highest(few_map), few_det]
        return Scores(image, torch.stack(families, dim=1), torch.cat([tokens, near[:, None]], dim=1))

    def _square(self, values: Tensor) -> Tensor:
        return values.reshape(-1, self.grid, self.grid)

    def text_map(self, logits: Tensor) -> Tensor:
        """Return the zero-shot map (B, S, S), 0..1, of logits (B, levels, g, g): the softmax comes last."""
        up = [self.upsampled(level, corners=True).sigmoid() for level in logits.unbind(dim=1)]
        return torch.stack(up).mean(dim=0)

    def memory_map(self, distances: Tensor) -> Tensor:
        """Return the few-shot map (B, S, S), 0..1, of the levels' summed distances (B, g, g)."""
        return self.upsampled(distances, corners=True) / (FARTHEST * self.published_map)

    def distances(self, seen: Seen, head: str, classes: Tensor) -> Tensor:
        """Return the distances of a head's patches to the memory, summed over levels, (B, g * g)."""
        parts = named(head, [level[:, 1:] for level in seen[head]])
        return self.memory.distances(parts, classes).sum(dim=1)

    @override
    def raw(self, x: Tensor, class_names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """Return score and map of the text, 0..levels; with a memory the memory's alone, 0..2 levels."""
        found = self.detect_normalized(x, class_names)
        parts = dict(zip(self.family_names, found.family_scores.unbind(dim=1), strict=True))
        if not self.memory:
            return self.published_score * parts["zero_det"], self.published_map * self.full_map(
                found.token_map
            )
        largest = FARTHEST * self.published_map
        return largest * parts["few_det_mean"], largest * self.memory_map(found.token_map[:, -1])

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what the last det adapter says of the class token, and the seg adapters of all tokens."""
        seen = self.levels(x.to(self.device))
        return seen[DET][-1][:, 0], seen[SEG]


def anomaly_logits(tokens: Tensor, vectors: Tensor) -> Tensor:
    """Return anomalous minus normal logit, (B, N), of tokens (B, N, C) against class vectors (B, 2, C)."""
    both = LOGIT_SCALE * functional.normalize(tokens, dim=-1) @ vectors.mT
    return both[..., 1] - both[..., 0]


def named(head: str, levels: list[Tensor]) -> dict[str, Tensor]:
    """Name what a head says at each level as the memory does."""
    return {f"{head}_{number}": level for number, level in enumerate(levels)}


class MvfaOptions(BuildOptions):
    """What an MVFA-AD bundle is built from."""

    class_name: ClassNames
    checkpoint: Annotated[
        str | Path,
        Field(
            description="the checkpoint of the target class, `seg_adapters` and `det_adapters` in a `.pth`"
        ),
    ]
    tap_blocks: TapBlocks = None
    references: References = None
    augment: bool = Field(
        False,
        description="whether each reference is also rotated, shifted and flipped (11 pictures), as published",
    )
    head: Literal["seg", "det"] | None = Field(
        None,
        description="the head that gives the image score, `seg` or `det`; by default `seg` with references, "
        "`det` without",
    )


def build(clip: ClipWeights, image_size: int, options: MvfaOptions) -> Built:
    """Compute the class vectors, take over the adapters and, of normal pictures, make the memory."""
    names = options.class_name
    adapters, count = read_adapters(Path(options.checkpoint), clip)
    taps = taps_of(options.tap_blocks, count, 1, clip.vision.layers)
    given = options.references
    references = [] if given is None else pictures_by_class(given, names, "references")
    vectors = class_vectors(clip.text_tower(), [REAL_NAME.get(name, name) for name in names], APRIL_GAN)
    head = options.head or (SEG if references else DET)
    settings = {"class_names": names, "tap_blocks": taps, "head": head}
    label = f"class names in {len(APRIL_GAN.templates)} templates"
    plain = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # the tower sees 0..1
    built = Built({"class_vectors": vectors} | adapters, settings, ZERO_SHOT, label, plain)
    return _few_shot(clip, image_size, built, references, augment=options.augment) if references else built


def read_adapters(path: Path, clip: ClipWeights) -> tuple[dict[str, Tensor], int]:
    """Read the adapters of a checkpoint as a bundle names them, and how many levels they are of."""
    parts = read_parts(path, "mvfa", ("seg_adapters", "det_adapters"))
    joint, width = clip.vision.embed_dim, clip.vision.width
    count = parts["seg_adapters"].count("", ".fc1.0.weight")
    shapes: dict[str, tuple[int, ...]] = {}
    for level in range(count):
        shapes |= {f"{level}.fc1.0.weight": (joint, width), f"{level}.fc2.0.weight": (width, joint)}
    found: dict[str, Tensor] = {}
    for head in (SEG, DET):
        tensors = parts[f"{head}_adapters"].exactly(shapes)
        for level in range(count):
            found[f"{head}.{level}.down"] = tensors[f"{level}.fc1.0.weight"]
            found[f"{head}.{level}.up"] = tensors[f"{level}.fc2.0.weight"]
    return found, count


def _few_shot(
    clip: ClipWeights, image_size: int, built: Built, references: list[Any], *, augment: bool
) -> Built:
    """Return the same with a memory: what both heads say of all tokens, class token included."""
    detector = Mvfa(draft_record("mvfa", clip, image_size, built), clip.bundled(built.tensors), "cpu", "fp32")
    pictures = [inputs(detector.prepare, some, "references") for some in references]
    several = [eleven_fold(some) for some in pictures] if augment else pictures

    def parts(x: Tensor) -> dict[str, Tensor]:
        seen = detector.levels(x)
        together = named(SEG, seen[SEG]) | named(DET, seen[DET])
        return {name: functional.normalize(tokens, dim=-1) for name, tokens in together.items()}

    memory = remember(detector, several, parts)
    return replace(built, tensors=built.tensors | memory, family_names=ZERO_SHOT + FEW_SHOT)


KIND = DetectorKind(
    build,
    Mvfa,
    MvfaOptions,
    Publication(
        name="MVFA-AD (CVPR 2024)",
        checkpoint="one file per target class, such as `Brain.pth`",
        licence="MIT",
        trained_on="labelled brain MRI, liver CT, retinal OCT, chest X-rays and histopathology",
        means="made for medical pictures, not for industrial parts; each file is for one target class; "
        "measure it first on pictures of your own devices",
    ),
    image_size=240,
)
