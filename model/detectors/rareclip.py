"""RareCLIP: what CLIP's prompts say of a patch, and how rare it is among pictures of its kind, in one score.

Source: He et al., "RareCLIP: Rarity-aware Online Zero-shot Industrial Anomaly Detection", ICCV 2025, from its
abstract alone: zero-shot prompts, joined with the rarity of patches among the other pictures. Neither its
prompts nor how it joins both are known here. Chosen instead: AnomalyCLIP's map with prompts of an "object",
MuSc's rarity, and their sum as an archive profile makes it (``model.rarity.combination``).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.anomalyclip import FAMILY, anomaly_share
from s2sw.model.detectors.base import Scores, mean_of
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication, draft_record
from s2sw.model.detectors.musc import archives_of, named_archives, patches
from s2sw.model.detectors.options import (
    BuildOptions,
    FirstBlock,
    Pictures,
    Prompts,
    ReferenceNames,
    TapBlocks,
)
from s2sw.model.detectors.references import OPTION, remember
from s2sw.model.detectors.tower_detector import TwoStreamDetector, highest, known_blocks, quarters
from s2sw.model.heads.memory import Rows, by_class, inputs
from s2sw.model.precision import Precision
from s2sw.model.prompts.text_features import text_features
from s2sw.model.rarity.choosing import CONSTANT
from s2sw.model.rarity.combination import (
    Combination,
    Line,
    Usual,
    combination_of,
    evidence_of,
    patch_sum,
    picture_sum,
    squashed,
    usual_of,
)
from s2sw.model.rarity.mutual import COPY, FARTHEST, mutual_scores
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import ClipWeights

ALONE, BOTH = ("text",), ("text", "mutual")
USUAL = "usual."
"""Names the lines by which a class's evidence is joined, before its number."""
MEASURED = 32
"""Pictures of an archive, evenly spread, by which both kinds of evidence are put into one unit."""


class RareClip(TwoStreamDetector):
    """The detector over a loaded bundle, with an archive or without one.

    Family scores: text, the zero-shot score, and with an archive mutual, the rarest patch. Taps are those of
    the plain stream, whose patches are compared; the zero-shot map is read from the other stream.
    """

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.archives = archives_of(tensors, len(self.tap_blocks), self.device)
        weight = record.settings.get("rarity_weight", CONSTANT)
        lines = [tensors[f"{USUAL}{kind}"] for kind in range(len(self.archives))]
        self.usual = [_combination(kept.tolist(), weight) for kept in lines]

    @property
    @override
    def shares_streams(self) -> bool:
        return False

    @override
    def streams(self, x: Tensor) -> TowerOutput:
        tower = self.tower
        return tower.two_stream(tower.embed(x), self.start, (len(tower.transformer),), plain=self.tap_blocks)

    @override
    def score_with_patches(self, x: Tensor, classes: Tensor) -> tuple[Scores, list[Tensor]]:
        seen = self.streams(x)
        return self.heads(seen, classes), [tap[:, 1:].float() for tap in seen.plain]

    @override
    def heads(self, seen: TowerOutput, classes: Tensor) -> Scores:
        text, tokens = self.zero_shot(seen)
        if not self.usual:
            return mean_of(text[:, None], tokens.reshape(-1, self.grid, self.grid))
        rare = self.rarity(seen.plain, classes)

        def of_class(kind: int, rows: Rows) -> Tensor:
            return combined(self.usual[kind], text[rows], tokens[rows], rare[rows])

        both = by_class(classes, of_class)
        families = torch.stack([text, highest(rare) / FARTHEST], dim=1)
        return Scores(both[:, 0], families, both[:, 1:].reshape(-1, self.grid, self.grid))

    def zero_shot(self, seen: TowerOutput) -> tuple[Tensor, Tensor]:
        """Return what the prompts say of pictures (B,) and of their patches (B, N), 0..1."""
        tokens = self.tower.project(seen.taps[-1])[:, 1:]
        return anomaly_share(self.image_feature(seen.final), self.vectors), anomaly_share(
            tokens, self.vectors
        )

    def rarity(self, taps: Sequence[Tensor], classes: Tensor) -> Tensor:
        """Return how rare the patches of pictures are in the archive of their class, (B, N), 0..FARTHEST."""
        copy = COPY[self.precision]
        return torch.stack(
            [
                mutual_scores([tap[row, 1:] for tap in taps], self.archives[kind], copy)
                for row, kind in enumerate(classes.tolist())
            ]
        )

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the image feature (B, C) and the outputs (B, N, width) of the blocks that are compared."""
        seen = self.streams(x.to(self.device))
        return self.image_feature(seen.final), seen.plain


def combined(usual: Combination, text: Tensor, tokens: Tensor, rare: Tensor) -> Tensor:
    """Return score and map of pictures side by side, (B, 1 + N), 0..1: text (B,), tokens and rare (B, N)."""
    found = evidence_of(usual.usual, text, tokens, rare[:, None])
    score, grid = picture_sum(found, usual.weight), patch_sum(found, usual.weight)
    return squashed(torch.cat([usual.rank(score)[:, None], usual.map(grid)], dim=1))


def _combination(lines: list[list[float]], weight: float) -> Combination:
    """Return how evidence is joined: the lines as ``_lines`` returns them, each offset and scale."""
    tap, patches, token, picture, score, rank, on_map = (Line(offset, scale) for offset, scale in lines)
    return Combination(Usual((tap,), patches, token, picture, score), weight, rank, on_map)


def _lines(found: Combination) -> Tensor:
    usual = found.usual
    lines = (*usual.taps, usual.patches, usual.token, usual.picture, usual.score, found.rank, found.map)
    return torch.tensor([[line.offset, line.scale] for line in lines])


class RareClipOptions(BuildOptions):
    """What a RareCLIP bundle is built from."""

    references: Annotated[
        Any,
        Pictures(),
        Field(
            description="pictures of the archive itself, without labels, most of them normal, at least 9 for "
            "each class name: a folder, or a query with a column `uri`; without them only the prompts count, "
            "until `s2sw screen --profile online` adds what came before"
        ),
    ] = None
    class_name: ReferenceNames = ()
    rarity_weight: float = Field(
        CONSTANT, description="the weight of rarity beside the prompts, 0 to 1", ge=0, le=1
    )
    prompts: Prompts = "handwritten"
    two_stream_from: FirstBlock = None
    tap_blocks: TapBlocks = None


def build(clip: ClipWeights, image_size: int, options: RareClipOptions) -> Built:
    """Compute the class vectors (2, C), keep the patches of the archive, and measure what is usual in it."""
    layers = clip.vision.layers
    taps = known_blocks(options.tap_blocks or quarters(layers), 1, layers)
    start = options.two_stream_from or quarters(layers)[0]
    known_blocks((layers,), start, layers)
    names, archives = named_archives(options.references, options.class_name)
    features, label = text_features(clip, options.prompts, (FAMILY,))
    settings: dict[str, Any] = {"two_stream_from": start, "tap_blocks": taps}
    settings |= {"class_names": names} if names else {}
    vectors = functional.normalize(features[FAMILY], dim=-1)
    built = Built({"class_vectors": vectors}, settings, ALONE, label)
    if not archives:
        return built
    record = draft_record("rareclip", clip, image_size, built)
    detector = RareClip(record, clip.bundled(built.tensors), "cpu", "fp32")
    kept = remember(detector, archives, lambda x: patches(detector.encode_image(x)[1]))
    detector.archives = archives_of(kept, len(taps), detector.device)
    weight = options.rarity_weight
    for kind, some in enumerate(archives):
        kept[f"{USUAL}{kind}"] = _lines(_usual_in(detector, kind, some, weight))
    settings |= {"rarity_weight": weight}
    return replace(built, tensors=built.tensors | kept, settings=settings, family_names=BOTH)


@torch.inference_mode()
def _usual_in(detector: RareClip, kind: int, archive: Any, weight: float) -> Combination:
    """Return how evidence on pictures of a class is joined, from some of its archive beside the others."""
    some = archive[:: -(-len(archive) // MEASURED)]
    classes = torch.tensor([kind])
    seen = [detector.streams(one[None]) for one in inputs(detector.prepare, some, OPTION)]
    text, tokens = (torch.cat(part) for part in zip(*(detector.zero_shot(one) for one in seen), strict=True))
    rare = torch.stack([detector.rarity(one.plain, classes) for one in seen])
    usual = usual_of(text, tokens, rare)
    return combination_of(usual, evidence_of(usual, text, tokens, rare), weight)


KIND = DetectorKind(
    build,
    RareClip,
    RareClipOptions,
    Publication(
        name="after RareCLIP (ICCV 2025); prompts, joining and bank were chosen here",
        checkpoint="none: training-free; AnomalyCLIP's prompts can be used",
        licence="its program is not used",
        trained_on="nothing but CLIP",
        means="for pictures of one kind, most of them normal; what is frequent counts as normal; the "
        "published figures do not hold for it; measure it first, on medical pictures too",
    ),
)
