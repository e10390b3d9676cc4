"""MuSc: each patch against the pictures of an archive without labels, normal or not.

Source: Li et al., "MuSc: Zero-Shot Industrial Anomaly Classification and Segmentation with Mutual Scoring of
the Unlabeled Images", ICLR 2024. Its re-scoring by image-level neighbours (RsCIN) is left out: it makes a
picture's score depend on the scores of others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores, mean_of
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication, draft_record
from s2sw.model.detectors.options import BuildOptions, Pictures, ReferenceNames, TapBlocks
from s2sw.model.detectors.references import OPTION, named_references, remember
from s2sw.model.detectors.tower_detector import TowerDetector, highest, known_blocks, quarters
from s2sw.model.errors import BundleError
from s2sw.model.heads.memory import kept_features
from s2sw.model.precision import Precision
from s2sw.model.rarity.bank import LEAST_OTHERS
from s2sw.model.rarity.mutual import COPY, FARTHEST, mutual_scores, neighbourhood
from s2sw.model.weights.clip import ClipWeights

FAMILIES = ("mutual",)
PART = "tap_"
"""Names a tap's patches in the memory, before its number."""


class Musc(TowerDetector):
    """The detector over a loaded bundle; a picture's score is its highest patch."""

    published_score = published_map = FARTHEST
    smooth = False

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.archives = archives_of(tensors, len(self.tap_blocks), self.device)

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the image feature (B, C) and the block outputs (B, N, width) at the taps."""
        final, taps = self.tower.plain(self.tower.embed(x.to(self.device)), self.tap_blocks)
        return self.tower.project(final[:, 0]), taps

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        taps = self.encode_image(x)[1]
        rare = [
            mutual_scores([tap[row, 1:] for tap in taps], self.archives[kind], COPY[self.precision])
            for row, kind in enumerate(classes.tolist())
        ]
        grid = torch.stack(rare).reshape(-1, self.grid, self.grid) / FARTHEST
        return mean_of(highest(grid)[:, None], grid)


def patches(taps: Sequence[Tensor]) -> Mapping[str, Tensor]:
    """Return what is kept of pictures: of each tap (B, N, width), L2-normalised, float16."""
    return {f"{PART}{number}": neighbourhood(tap[:, 1:], 0).half() for number, tap in enumerate(taps)}


def archives_of(tensors: Mapping[str, Tensor], taps: int, device: torch.device) -> list[list[Tensor]]:
    """Return what a bundle keeps of the archive of each class: of each tap (K, N, width)."""
    return [[kept[f"{PART}{number}"].to(device) for number in range(taps)] for kept in kept_features(tensors)]


def named_archives(references: Any, class_names: Sequence[str]) -> tuple[tuple[str, ...], list[Any]]:
    """Return class names and the pictures of each one's archive; raises BundleError for too few."""
    names, archives = named_references(references, class_names)
    for name, some in zip(names or ("",), archives, strict=bool(archives)):
        if len(some) <= LEAST_OTHERS:
            of = f" of class {name!r}" if name else ""
            raise BundleError(f"{OPTION}: {len(some)} pictures{of}; at least {LEAST_OTHERS + 1} are needed")
    return names, archives


class MuscOptions(BuildOptions):
    """What a MuSc bundle is built from."""

    references: Annotated[
        Any,
        Pictures(),
        Field(
            description="pictures of the archive itself, without labels, most of them normal, at least 9 for "
            "each class name: a folder, or a query with a column `uri`"
        ),
    ]
    class_name: ReferenceNames = ()
    tap_blocks: TapBlocks = None


def build(clip: ClipWeights, image_size: int, options: MuscOptions) -> Built:
    """Keep the patches of the archive's pictures."""
    names, archives = named_archives(options.references, options.class_name)
    layers = clip.vision.layers
    settings = {"tap_blocks": known_blocks(options.tap_blocks or quarters(layers), 1, layers)}
    built = Built({}, settings | ({"class_names": names} if names else {}), FAMILIES, "no prompts")
    detector = Musc(draft_record("musc", clip, image_size, built), clip.bundled({}), "cpu", "fp32")
    kept = remember(detector, archives, lambda x: patches(detector.encode_image(x)[1]))
    return replace(built, tensors=kept)


KIND = DetectorKind(
    build,
    Musc,
    MuscOptions,
    Publication(
        name="MuSc (ICLR 2024)",
        checkpoint="none: training-free",
        licence="MIT",
        trained_on="nothing but CLIP",
        means="needs no prompts, training or labels, but pictures of one kind, most of them normal; what is "
        "frequent counts as normal; measure it first on medical pictures",
    ),
)
