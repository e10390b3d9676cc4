"""WinCLIP and WinCLIP+: no training at all; windows of patches against class-specific prompts and normals.

Source: Jeong et al., "WinCLIP: Zero-/Few-Shot Anomaly Classification and Segmentation", CVPR 2023, as its
common open implementation computes it.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores, mean_of
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication, draft_record
from s2sw.model.detectors.options import BuildOptions, ClassNames, References
from s2sw.model.detectors.tower_detector import TowerDetector
from s2sw.model.errors import BundleError
from s2sw.model.heads.memory import Rows, by_class, distance, inputs, pictures_by_class, remembered
from s2sw.model.heads.similarity import TAU
from s2sw.model.heads.windows import SCALES, harmonic_map, window_embeddings
from s2sw.model.precision import Precision
from s2sw.model.prompts.class_prompts import WINCLIP, class_vectors
from s2sw.model.weights.clip import ClipWeights

KINDS = (*(f"windows_{scale}" for scale in SCALES), "patches")
"""What a memory holds, and in which order the few-shot map takes it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the tower says of pictures: image (B, C); local: windows (B, W, C) of each scale, then patches.

    Patches are the tokens after ln_post, not projected: (B, g * g, width).
    """

    image: Tensor
    local: tuple[Tensor, ...]


class WinClip(TowerDetector):
    """The detector over a loaded bundle. Family scores: text, and few_shot where there is a memory."""

    positions = "bicubic"
    smooth = False

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.vectors = tensors["class_vectors"].to(self.device)
        rows = range(len(record.class_names)) if "few_shot" in record.family_names else ()
        self.memory = [[tensors[f"memory.{row}.{kind}"].to(self.device) for kind in KINDS] for row in rows]

    def see(self, x: Tensor) -> Seen:
        """Run the tower over whole pictures (B, 3, S, S) and over all of their windows."""
        embedded = self.tower.embed(x)
        tokens, _ = self.tower.plain(embedded)
        windows = [window_embeddings(self.tower, embedded, scale) for scale in SCALES]
        return Seen(self.tower.project(tokens[:, 0]), (*windows, self.tower.ln_post(tokens[:, 1:].float())))

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        seen = self.see(x)
        vectors = self.vectors[classes]
        whole = anomaly_share(seen.image[:, None], vectors)[:, 0]
        zero_shot = self._zero_shot(whole, seen, vectors)
        if not self.memory:
            return mean_of(whole[:, None], zero_shot)
        few_shot = self.few_shot(seen, classes)
        highest = few_shot.flatten(1).amax(dim=1)
        return mean_of(torch.stack([whole, highest], dim=1), (zero_shot + few_shot) / 2)

    def _zero_shot(self, whole: Tensor, seen: Seen, vectors: Tensor) -> Tensor:
        maps = [whole[:, None, None].expand(-1, self.grid, self.grid)]
        for scale, windows in zip(SCALES, seen.local, strict=False):
            maps.append(harmonic_map(anomaly_share(windows, vectors), self.grid, scale))
        return len(maps) / (1 / torch.stack(maps)).sum(dim=0)

    def few_shot(self, seen: Seen, classes: Tensor) -> Tensor:
        """Return the mean over scales and patches of the distance to the memory of each class, (B, g, g)."""

        def of_class(kind: int, rows: Rows) -> Tensor:
            near = [
                (distance(part[rows], known) / 2).clamp(min=0)
                for part, known in zip(seen.local, self.memory[kind], strict=True)
            ]
            maps = [harmonic_map(a, self.grid, scale) for scale, a in zip(SCALES, near, strict=False)]
            return torch.stack([*maps, near[-1].reshape(-1, self.grid, self.grid)]).mean(dim=0)

        return by_class(classes, of_class)

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        tokens, _ = self.tower.plain(self.tower.embed(x.to(self.device)))
        return self.tower.project(tokens[:, 0]), [self.tower.ln_post(tokens.float())]


def anomaly_share(features: Tensor, vectors: Tensor) -> Tensor:
    """Return the anomalous share (B, N), 0..1, of features (B, N, C) against class vectors (B, 2, C)."""
    both = functional.normalize(features, dim=-1) @ vectors.mT / TAU
    return torch.sigmoid(both[..., 1] - both[..., 0])


class WinClipOptions(BuildOptions):
    """What a WinCLIP bundle is built from; with references it is WinCLIP+."""

    class_name: ClassNames
    references: References = None


def build(clip: ClipWeights, image_size: int, options: WinClipOptions) -> Built:
    """Compute the class vectors and, of normal pictures, the memory."""
    names = options.class_name
    if image_size // clip.vision.patch < max(SCALES):
        raise BundleError(
            f"image_size: {image_size} has less than {max(SCALES)} patches of {clip.vision.patch} px a side, "
            "which the largest window has"
        )
    given = options.references
    references = [] if given is None else pictures_by_class(given, names, "references")
    vectors = class_vectors(clip.text_tower(), names, WINCLIP)
    label = f"class names in {len(WINCLIP.templates)} templates"
    built = Built({"class_vectors": vectors}, {"class_names": names}, ("text",), label)
    if not references:
        return built
    record = draft_record("winclip", clip, image_size, built)
    detector = WinClip(record, clip.bundled(built.tensors), "cpu", "fp32")
    memory = {}
    for row, pictures in enumerate(references):
        for kind, features in remember(detector, pictures).items():
            memory[f"memory.{row}.{kind}"] = features
    return replace(built, tensors=built.tensors | memory, family_names=("text", "few_shot"))


@torch.inference_mode()
def remember(detector: WinClip, pictures: Any) -> dict[str, Tensor]:
    """Return what a memory keeps of normal pictures, each (K * windows or patches, C or width)."""
    seen = [detector.see(one[None]).local for one in inputs(detector.prepare, pictures, "references")]
    together = zip(KINDS, zip(*seen, strict=True), strict=True)
    return {kind: remembered(torch.cat(parts)) for kind, parts in together}


KIND = DetectorKind(
    build,
    WinClip,
    WinClipOptions,
    Publication(
        name="WinCLIP, WinCLIP+ (CVPR 2023)",
        checkpoint="none: training-free",
        licence="Apache-2.0 (its common open implementation)",
        trained_on="nothing but CLIP",
        means="needs class names; measure it first on medical pictures",
    ),
    image_size=240,
    clip="ViT-B-16-plus-240/laion400m_e32",
)
