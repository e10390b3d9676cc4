"""Detectors over one frozen visual tower: precision, positions, and the two-stream pass of some of them."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import FaceDetector, Scores
from s2sw.model.errors import BundleError
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision, token_type
from s2sw.model.towers.patches import Resize
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import load_vision


class TowerDetector(FaceDetector):
    """A detector over one tower. smooth, corners: how its token map of one grid becomes the full map.

    tap_blocks: the blocks after which the tower is read, counted from 1; by default the last one.
    """

    positions: Resize = "bilinear"
    smooth = True
    corners = False

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, device, precision)
        prefix = "visual."
        visual = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        self.tower = load_vision(record.vision, visual, "bundle")
        self.tower.fit_grid(record.grid, self.positions)
        self.tower.lower(token_type(precision))
        self.tower.to(self.device)
        self.tower.pack_when_used(precision)
        self.tap_blocks: tuple[int, ...] = tuple(record.settings.get("tap_blocks", (record.vision.layers,)))

    @property
    @override
    def tap_names(self) -> tuple[str, ...]:
        return tuple(f"block_{number}" for number in self.tap_blocks)

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        return (MapLayer(self.grid, self.image_size, self.smooth, self.corners),)


class TwoStreamDetector(TowerDetector):
    """A detector that reads a two-stream pass. ``heads`` is its own; the pass can be shared with others."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.start: int = record.settings["two_stream_from"]
        self.vectors = tensors["class_vectors"].to(self.device)

    @abstractmethod
    def heads(self, seen: TowerOutput, classes: Tensor) -> Scores:
        """Score what the tower gives of pictures; classes as of ``score``."""

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        return self.heads(self.streams(x), classes)

    @override
    def score_with_patches(self, x: Tensor, classes: Tensor) -> tuple[Scores, list[Tensor]]:
        seen = self.streams(x)
        return self.heads(seen, classes), [self.tower.project(y)[:, 1:].float() for y in seen.taps]

    @property
    def shares_streams(self) -> bool:
        """Whether the two-stream pass is all that scores depend on: ``heads`` then makes them of it."""
        return True

    def streams(self, x: Tensor) -> TowerOutput:
        """Run the tower: final class token (B, width) and the raw v-v streams (B, N, width) at the taps."""
        return self.tower.two_stream(self.tower.embed(x), self.start, self.tap_blocks)

    def image_feature(self, final: Tensor) -> Tensor:
        """Project the final class token (B, width) to (B, C), as released: without ln_post."""
        return final.float() @ self.tower.proj

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        seen = self.streams(x.to(self.device))
        return self.image_feature(seen.final), [self.tower.project(y) for y in seen.taps]


def highest(maps: Tensor) -> Tensor:
    """Return the maximum (B,) of each map (B, S, S)."""
    return maps.flatten(1).amax(dim=1)


def quarters(layers: int) -> tuple[int, ...]:
    """Return the blocks that end each quarter of the tower, counted from 1: 6, 12, 18 and 24 of 24."""
    return evenly(layers, 4)


def evenly(layers: int, count: int) -> tuple[int, ...]:
    """Return the blocks that end each of ``count`` equal parts of the tower, counted from 1."""
    return tuple(max(1, round(layers * part / count)) for part in range(1, count + 1))


def taps_of(given: Sequence[int] | None, count: int, start: int, layers: int) -> tuple[int, ...]:
    """Return the taps that a checkpoint of ``count`` levels was trained with: those given, or evenly spread.

    None lies before the 1-based block ``start``. Raises BundleError.
    """
    if given is not None and len(given) != count:
        raise BundleError(f"tap_blocks: {len(given)} given, where the checkpoint has {count} levels")
    blocks = given or [max(start, block) for block in evenly(layers, count)]
    return known_blocks(blocks, start, layers)


def known_blocks(blocks: Iterable[int], start: int, layers: int) -> tuple[int, ...]:
    """Return the taps if they rise from ``start`` to the last block at most; raises BundleError otherwise."""
    taps = tuple(blocks)
    if not 1 <= start <= layers or list(taps) != sorted(set(taps) & set(range(start, layers + 1))):
        raise BundleError(f"tap_blocks {taps} from block {start} on: taps must be ascending, up to {layers}")
    return taps
