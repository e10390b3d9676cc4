"""AdaptCLIP: a visual and a textual branch over the two-stream tower, and queries beside normal pictures.

Source: Gao et al., "AdaptCLIP: Adapting CLIP for Universal Visual Anomaly Detection", 2025, as its released
program computes it.
"""

import math
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
from s2sw.model.detectors.options import BuildOptions, FirstBlock, ReferenceNames, References, TapBlocks
from s2sw.model.detectors.references import named_references, remember
from s2sw.model.detectors.tower_detector import TwoStreamDetector, evenly, highest, taps_of
from s2sw.model.errors import BundleError
from s2sw.model.heads.memory import Memory
from s2sw.model.heads.prompt_query import (
    LARGEST,
    ImageHead,
    LocalHead,
    Norm,
    ResidualAdapter,
    compared,
    harmonic_mean,
    share,
)
from s2sw.model.heads.similarity import TAU
from s2sw.model.maps import MapLayer, fitting, gaussian
from s2sw.model.precision import Precision, token_type
from s2sw.model.prompts.handwritten import NOUN, handwritten_features
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.adaptclip import ADAPTERS, HEADS, Learners, read_adaptclip
from s2sw.model.weights.clip import ClipWeights

ZERO_SHOT = ("visual", "textual", "map_max")
FEW_SHOT = ("visual", "textual", "prompt_query", "map_max")
LARGEST_MAP, LARGEST_SCORE = 4 / 3, 8 / 7
"""Largest possible values with references: distances reach 2."""
FINEST = 3.5
"""Pixels of a token in the exact map: hardly anything finer is left after the Gaussian (``maps.fitting``)."""


class AdaptClip(TwoStreamDetector):
    """The detector over a loaded bundle, with a memory or without one.

    Family scores, 0..1: visual and textual, the branches' image scores; prompt_query, that of the comparison
    with normal pictures; map_max, the maximum of the map. The score is their mean, and with a memory the
    harmonic mean of the first ones' mean and the map's maximum.
    """

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        learned = {
            name: tensor.to(self.device) for name, tensor in tensors.items() if name.startswith(LEARNED)
        }
        visual, query = (_named(learned, part) for part in LEARNED)
        self.local, self.whole = (ResidualAdapter.of(visual, name) for name in ADAPTERS)
        self.norms = [Norm.of(query, f"sharebn.{number}") for number in range(len(self.tap_blocks))]
        dtype = token_type(precision)
        self.map_head = LocalHead.lowered(query, f"{HEADS[0]}.0", dtype)
        self.image_head = ImageHead.of(query, f"{HEADS[1]}.0")
        self.context: bool = record.settings["context"]
        self.memory = Memory.read(tensors, self.device, dtype)
        if not self.memory:
            return
        self.published_score, self.published_map = LARGEST_SCORE, LARGEST_MAP
        exact = record.settings["maps"] == "exact"
        side = math.ceil(record.image_size / FINEST) if exact else record.grid
        self._layer = MapLayer(side, record.image_size)
        self._fit, self._smooth = (
            torch.tensor(operator, dtype=torch.float32, device=self.device)
            for operator in (fitting(self._layer), gaussian(record.image_size))
        )

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        """One grid; with a memory a fine one, fitted to a map that is not linear in any grid."""
        return (self._layer,) if self.memory else super().map_layers

    @override
    def heads(self, seen: TowerOutput, classes: Tensor) -> Scores:
        feature, patches = self.image_feature(seen.final), self.tower.project(seen.taps[-1])
        static, learned = self.vectors
        visual_image, visual_grid = self.branch(self.whole(feature), self.local(patches), static)
        textual_image, textual_grid = self.branch(feature, patches, learned)
        if not self.memory:
            grid = (visual_grid + textual_grid) / 2
            return mean_of(
                torch.stack([visual_image, textual_image, highest(self.full_map(grid))], dim=1), grid
            )
        query_image, query_grid, distances = self.prompt_query(seen.taps, classes)
        both, query = (self.upsampled(g, corners=False) for g in (visual_grid + textual_grid, query_grid))
        align = harmonic_mean(torch.stack([self.upsampled(d, corners=False) for d in distances]))
        fused = harmonic_mean(torch.stack([(both + query) / 3, align]))
        map_max = highest(self._smooth @ fused @ self._smooth.T)
        image = harmonic_mean(torch.stack([(visual_image + textual_image + query_image) / 3, map_max]))
        families = torch.stack([visual_image, textual_image, query_image, map_max / LARGEST_MAP], dim=1)
        tokens = self._fit @ (fused / LARGEST_MAP) @ self._fit.T
        return Scores(image / LARGEST_SCORE, families, tokens)

    def branch(self, feature: Tensor, patches: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the image score (B,) and the grid (B, g, g), 0..1, of one branch's features.

        feature: (B, C). patches: (B, N, C), class token first. vectors: (2, C).
        """
        image, tokens = (functional.normalize(x, dim=-1) @ vectors.T / TAU for x in (feature, patches))
        return share(image), share(tokens)[:, 1:].reshape(-1, self.grid, self.grid)

    def prompt_query(self, taps: Sequence[Tensor], classes: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Compare with normal pictures: image score (B,), map (B, 4 g, 4 g), distances (B, g, g) of each tap.

        The first two, 0..1, are means over the taps.
        """
        images, grids, distances = [], [], []
        for number, (tap, norm) in enumerate(zip(taps, self.norms, strict=True)):
            query = self.tower.project_lowered(tap[:, 1:])
            apart, nearest = self.memory.nearest(name_of(number), query, classes)
            distances.append(apart.reshape(-1, self.grid, self.grid))
            z = norm(compared(functional.normalize(query, dim=-1), nearest, context=self.context))
            images.append(share(self.image_head.logits(z)))
            grids.append(self.map_head(z.mT.reshape(len(z), -1, self.grid, self.grid)))
        return torch.stack(images).mean(dim=0), torch.stack(grids).mean(dim=0), distances


LEARNED = ("visual_learner.", "pq_learner.")
"""What a bundle keeps of a checkpoint beside the text features."""


def _named(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}


def name_of(tap: int) -> str:
    """Return what the memory calls a tap."""
    return f"tap_{tap}"


class AdaptClipOptions(BuildOptions):
    """What an AdaptCLIP bundle is built from."""

    checkpoint: Annotated[str | Path | Learners, Field(description="the checkpoint, such as `epoch_15.pth`")]
    two_stream_from: FirstBlock = None
    tap_blocks: TapBlocks = None
    context: bool = Field(
        True, description="whether the comparison adds the patch itself; all published checkpoints need this"
    )
    class_name: ReferenceNames = ()
    references: References = None
    maps: Literal["exact", "compact"] = Field(
        "exact", description="with references: `exact` maps, or `compact` maps on the tower's own grid"
    )


@torch.inference_mode()
def build(clip: ClipWeights, image_size: int, options: AdaptClipOptions) -> Built:
    """Compute both kinds of class vectors, take over the adapters and heads, remember normal pictures."""
    grid = image_size // clip.vision.patch
    if grid * grid < LARGEST:
        raise BundleError(f"image_size: {image_size} gives {grid * grid} patches; {LARGEST} are needed")
    found = options.checkpoint
    if not isinstance(found, Learners):
        found = read_adaptclip(Path(found), clip.text, clip.vision.embed_dim)
    layers = clip.vision.layers
    start = options.two_stream_from or first_of_two_streams(layers, found.taps)
    taps = taps_of(options.tap_blocks, found.taps, start, layers)
    names, references = named_references(options.references, options.class_name)
    tower = clip.text_tower()
    raw = torch.stack([handwritten_features(tower, (NOUN,))[NOUN], tower(*found.prompts())])
    tensors = {"class_vectors": functional.normalize(raw, dim=-1)}
    for part, kept in zip(LEARNED, (found.visual, found.query), strict=True):
        tensors |= {part + name: tensor for name, tensor in kept.items()}
    settings: dict[str, Any] = {"two_stream_from": start, "tap_blocks": taps, "context": options.context}
    built = Built(tensors, settings, ZERO_SHOT, "learned, and handwritten ones of an object")
    return _few_shot(clip, image_size, built, names, references, options.maps) if references else built


def first_of_two_streams(layers: int, taps: int) -> int:
    """Return the block from which two streams run: 6 of 24 and 4 of 12, as published.

    In towers that are too shallow for it, the first tap's.
    """
    published = layers - round(layers * 5 / 6) + 2
    first, *others = evenly(layers, taps)
    return published if not others or published < others[0] else first


def _few_shot(
    clip: ClipWeights,
    image_size: int,
    built: Built,
    names: tuple[str, ...],
    references: list[Any],
    maps: str,
) -> Built:
    settings = built.settings | {"maps": maps} | ({"class_names": names} if names else {})
    detector = AdaptClip(
        draft_record("adaptclip", clip, image_size, built), clip.bundled(built.tensors), "cpu", "fp32"
    )

    def parts(x: Tensor) -> dict[str, Tensor]:
        taps = detector.encode_image(x)[1]
        return {name_of(n): functional.normalize(tap[:, 1:], dim=-1) for n, tap in enumerate(taps)}

    memory = remember(detector, references, parts)
    return replace(built, tensors=built.tensors | memory, settings=settings, family_names=FEW_SHOT)


KIND = DetectorKind(
    build,
    AdaptClip,
    AdaptClipOptions,
    Publication(
        name="AdaptCLIP (2025)",
        checkpoint="`epoch_15.pth` in `12_4_128_train_on_mvtec_3adapters_batch8`, or in the `visa` folder",
        licence="GPL-2.0",
        trained_on="the test pictures of MVTec AD, or of VisA",
        means="needs no class names; trained on industrial parts and published on medical pictures too; "
        "MVTec AD is licensed for non-commercial use",
    ),
)
