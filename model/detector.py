"""What all detectors on the CLIP tower share: input, precision, batching, and the way to full maps."""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import maps
from model.kinds import Detection, Precision
from model.preprocess import Pictures, as_batch, normalize, squash
from model.record import BundleRecord
from model.tower import Resize
from model.weights import load_vision

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TowerDetector(ABC):
    """A detector over one frozen visual tower. Subclasses say how tokens become scores."""

    smooth = True
    positions: Resize = "bilinear"

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        if precision not in DTYPES:
            raise ValueError(f"precision: {precision!r} given; 'fp32' or 'bf16' is needed")
        self.record = record
        self.precision = precision
        self.device = torch.device(device)
        prefix = "visual."
        visual = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        self.tower = load_vision(record.vision, visual, "bundle")
        self.tower.fit_grid(record.grid, self.positions)
        self.tower.lower(DTYPES[precision])
        self.tower.to(self.device)
        # on the device once: copying them with every batch would make the host wait
        self._mean, self._std = (
            torch.tensor(c, device=self.device).view(3, 1, 1) for c in (record.mean, record.std)
        )

    @property
    def name(self) -> str:
        """The kind of detector, as bundle.json names it."""
        return self.record.detector

    @property
    def image_size(self) -> int:
        """Side S of the square input, pixels."""
        return self.record.image_size

    @property
    def grid(self) -> int:
        """Tokens along a side of the token map, g."""
        return self.record.grid

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all of the bundle that changes results."""
        return self.record.fingerprint

    @property
    def prompts(self) -> str:
        """Which prompts the class vectors were made from."""
        return self.record.prompts

    @property
    def trained(self) -> bool:
        """False where the weights are random, so that scores mean nothing."""
        return self.record.trained

    @property
    def family_names(self) -> tuple[str, ...]:
        """The columns of family_scores; may be empty."""
        return self.record.family_names

    @abstractmethod
    def score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised pictures (B, 3, S, S) on the device to family scores (B, F) and maps (B, g, g)."""

    def image_score(self, family_scores: Tensor) -> Tensor:
        """Return the image scores (B,) of family scores (B, F)."""
        return family_scores.mean(dim=1)

    def detect(self, images: Pictures) -> Detection:
        """Score uint8 RGB pictures (B, H, W, 3); other sizes than S x S are squashed as Pillow does it.

        Raises ValueError for any other dtype or shape.
        """
        batch = squash(as_batch(images), self.image_size).to(self.device, non_blocking=True)
        return self.detect_normalized(normalize(batch, self._mean, self._std))

    @torch.inference_mode()
    def detect_normalized(self, x: Tensor) -> Detection:
        """Score normalised pictures, float (B, 3, S, S); raises ValueError for another shape."""
        side, grid, families = self.image_size, self.grid, len(self.family_names)
        if x.ndim != 4 or x.shape[1:] != (3, side, side):
            raise ValueError(f"x: {tuple(x.shape)} given; this detector takes (B, 3, {side}, {side})")
        packed = [self._packed(some) for some in self._batches(x.to(self.device, torch.float32))]
        rows = torch.cat(packed).cpu() if packed else torch.empty(0, 1 + families + grid * grid)
        score, scores, tokens = torch.split(rows, [1, families, grid * grid], dim=1)
        return Detection(score[:, 0].clone(), scores.clone(), tokens.reshape(-1, grid, grid).clone())

    def _batches(self, x: Tensor) -> tuple[Tensor, ...]:
        """Split for the device. One picture fills a CPU; so its rows equal a batch of one to the last bit."""
        return torch.split(x, 1 if self.device.type == "cpu" else len(x)) if len(x) else ()

    def _packed(self, x: Tensor) -> Tensor:
        """Return score, family scores and token map side by side, so that one copy leaves the device."""
        families, token_map = self.score(x)
        return torch.cat([self.image_score(families)[:, None], families, token_map.flatten(1)], dim=1)

    @overload
    def full_map(self, token_map: Tensor, size: tuple[int, int] | None = None) -> Tensor: ...
    @overload
    def full_map(
        self, token_map: NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]: ...
    def full_map(
        self, token_map: Tensor | NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> Tensor | NDArray[np.float32]:
        """Return full maps (B, S, S), or (B, *size) for size=(rows, cols), 0..1, of token maps (B, g, g).

        A tensor gives a tensor on its own device, an array gives an array.
        """
        if not isinstance(token_map, Tensor):
            return maps.full_map(token_map, self.image_size, size, self.smooth)
        rows, cols = size or (self.image_size, self.image_size)
        down = _operator(self.grid, self.image_size, rows, self.smooth, token_map.device)
        across = _operator(self.grid, self.image_size, cols, self.smooth, token_map.device)
        return down @ token_map.float() @ across.T


@lru_cache(maxsize=64)
def _operator(grid: int, side: int, length: int, smooth: bool, device: torch.device) -> Tensor:
    return torch.tensor(maps.axis_operator(grid, side, length, smooth=smooth), device=device)
