"""The frozen visual side: what one pass over a picture leaves for all epochs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2sw.model.precision import Precision, token_type
from s2sw.model.towers.patches import Resize
from s2sw.model.towers.preprocess import normalize
from s2sw.model.weights.clip import ClipWeights


@dataclass(frozen=True, slots=True)
class Pass:
    """How a detector reads the tower; blocks count from 1.

    two_stream_from: None for the plain tower, whose taps are kept as they leave the blocks; the v-v taps of
    two streams are kept projected.
    """

    positions: Resize
    two_stream_from: int | None
    tap_blocks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Features:
    """What is kept of some pictures, in float32 or bfloat16.

    image: raw image features (B, C). taps: patch tokens, class token first, each (B, N, C) or (B, N, width).
    """

    image: Tensor
    taps: tuple[Tensor, ...]


class FrozenTower:
    """The visual tower of a CLIP at one input size, on one device."""

    def __init__(
        self, clip: ClipWeights, side: int, use: Pass, device: str = "cpu", precision: Precision = "fp32"
    ) -> None:
        self.side, self.use, self.device = side, use, torch.device(device)
        self.dtype = token_type(precision)
        self.key = self._key(clip)
        self.tower = clip.vision_tower()
        self.tower.fit_grid(side // clip.vision.patch, use.positions)
        self.tower.lower(self.dtype)
        self.tower.to(self.device)
        self._mean, self._std = (
            torch.tensor(c, device=self.device).view(3, 1, 1) for c in clip.normalisation
        )

    def _key(self, clip: ClipWeights) -> str:
        """Return a name for all that features depend on beside the picture."""
        digest = hashlib.sha256(
            repr((self.side, self.use, str(self.dtype), clip.vision, clip.normalisation)).encode()
        )
        for name, tensor in sorted(clip.visual_tensors().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @torch.inference_mode()
    def encode(self, pictures: Tensor) -> Features:
        """Return the features of uint8 pictures (B, S, S, 3), on the CPU."""
        x = self.tower.embed(normalize(pictures.to(self.device), self._mean, self._std))
        if self.use.two_stream_from is None:
            final, taps = self.tower.plain(x, self.use.tap_blocks)
            image = self.tower.project(final[:, 0])
        else:
            out = self.tower.two_stream(x, self.use.two_stream_from, self.use.tap_blocks)
            image = out.final.float() @ self.tower.proj
            taps = [self.tower.project(y) for y in out.taps]
        return Features(image.float().cpu(), tuple(tap.to(self.dtype).cpu() for tap in taps))


def stacked(several: Sequence[Features], device: torch.device) -> Features:
    """Return the features of single pictures as one batch, float32 on the device."""
    image = torch.cat([one.image for one in several]).to(device)
    taps = [torch.cat(tap).to(device).float() for tap in zip(*(one.taps for one in several), strict=True)]
    return Features(image, tuple(taps))
