"""Detectors over one frozen visual tower: precision, positions, and the two-stream pass of some of them."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import FaceDetector
from s2sw.model.errors import BundleError
from s2sw.model.maps import MapLayer
from s2sw.model.precision import DTYPES, Precision
from s2sw.model.towers.patches import Resize
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import load_vision


class TowerDetector(FaceDetector):
    """A detector over one tower. smooth, corners: how its token map of one grid becomes the full map."""

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
        self.tower.lower(DTYPES[precision])
        self.tower.to(self.device)

    @property
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The one grid of the token map."""
        return (MapLayer(self.grid, self.image_size, self.smooth, self.corners),)


@dataclass(frozen=True, slots=True)
class Streams:
    """Where two streams start and where the v-v one is tapped; blocks count from 1."""

    start: int
    taps: tuple[int, ...]


class TwoStreamDetector(TowerDetector):
    """A detector that reads a two-stream pass. ``heads`` is its own; the pass can be shared with others."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        given = record.settings
        self.stream_blocks = Streams(given["two_stream_from"], tuple(given["tap_blocks"]))
        self.vectors = tensors["class_vectors"].to(self.device)

    @abstractmethod
    def heads(self, seen: TowerOutput) -> tuple[Tensor, Tensor]:
        """Map what the tower gives to family scores (B, F) and token maps (B, g, g), 0..1."""

    @property
    def shares_streams(self) -> bool:
        """Whether the two-stream pass is all that scores depend on: ``heads`` then makes them of it."""
        return True

    def score(self, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map normalised pictures (B, 3, S, S) to family scores (B, F) and token maps (B, g, g), 0..1."""
        return self.heads(self.streams(x))

    def streams(self, x: Tensor) -> TowerOutput:
        """Run the tower: final class token (B, width) and the raw v-v streams (B, N, width) at the taps."""
        return self.tower.two_stream(self.tower.embed(x), self.stream_blocks.start, self.stream_blocks.taps)

    def image_feature(self, final: Tensor) -> Tensor:
        """Project the final class token (B, width) to (B, C), as released: without ln_post."""
        return final.float() @ self.tower.proj

    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the raw image feature (B, C) and raw patch features, one (B, N, C) a tap, of (B, 3, S, S).

        Token 0 is the class token.
        """
        seen = self.streams(x.to(self.device))
        return self.image_feature(seen.final), [self.tower.project(y) for y in seen.taps]


def quarters(layers: int) -> tuple[int, ...]:
    """Return the blocks that end each quarter of the tower, counted from 1: 6, 12, 18 and 24 of 24."""
    return tuple(max(1, round(layers * quarter / 4)) for quarter in (1, 2, 3, 4))


def known_blocks(blocks: Iterable[int], start: int, layers: int) -> tuple[int, ...]:
    """Return the taps if they rise from ``start`` to the last block at most; raises BundleError otherwise."""
    taps = tuple(blocks)
    if not 1 <= start <= layers or list(taps) != sorted(set(taps) & set(range(start, layers + 1))):
        raise BundleError(
            f"tap_blocks {taps} from block {start} on: taps must rise from there to {layers} at most"
        )
    return taps
