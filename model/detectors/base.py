"""The face that all detectors share: what the record says, class names, batching, and full maps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple, get_args, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from s2sw.model import maps
from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.contract import Detection, Detector
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision
from s2sw.model.towers.preprocess import Pictures, as_batch, normalize, resize_to_square


class Scores(NamedTuple):
    """What a detector says of pictures: image scores (B,), family scores (B, F), token maps (B, ...)."""

    image: Tensor
    families: Tensor
    tokens: Tensor


def mean_of(families: Tensor, tokens: Tensor) -> Scores:
    """Return the scores of a detector whose image score is the mean of its families."""
    return Scores(families.mean(dim=1), families, tokens)


class FaceDetector(Detector, ABC):
    """A detector of a bundle. Subclasses say how pictures become scores and token maps.

    published_score, published_map: the largest values of the published score and map, which are 1 here.
    """

    published_score: float = 1.0
    published_map: float = 1.0

    def __init__(self, record: BundleRecord, device: str, precision: Precision) -> None:
        if precision not in get_args(Precision):
            raise ValueError(f"precision: {precision!r} given; one of {get_args(Precision)} is needed")
        self.record = record
        self.precision = precision
        self.device = torch.device(device)
        # on the device once: copying them with every batch would make the host wait
        self._mean, self._std = (
            torch.tensor(c, device=self.device).view(3, 1, 1) for c in (record.mean, record.std)
        )

    @property
    @override
    def name(self) -> str:
        return self.record.detector

    @property
    @override
    def image_size(self) -> int:
        return self.record.image_size

    @property
    @override
    def grid(self) -> int:
        return self.record.grid

    @property
    @override
    def fingerprint(self) -> str:
        return self.record.fingerprint

    @property
    @override
    def prompts(self) -> str:
        return self.record.prompts

    @property
    @override
    def trained(self) -> bool:
        return self.record.trained

    @property
    @override
    def family_names(self) -> tuple[str, ...]:
        return self.record.family_names

    @property
    @override
    def class_names(self) -> tuple[str, ...]:
        return self.record.class_names

    @abstractmethod
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        """Score normalised pictures (B, 3, S, S) on the device.

        classes: row in class_names of each picture's class, int64 (B,); 0 where the detector has none.
        """

    def score_with_patches(self, x: Tensor, classes: Tensor) -> tuple[Scores, list[Tensor]]:
        """Score pictures as ``score`` does, and return the taps of ``patch_features``, each (B, g * g, D).

        Detectors whose scores are made of these override it: one pass gives both.
        """
        return self.score(x, classes), [patches for _, patches in self.patch_features(x)]

    @property
    @abstractmethod
    def tap_names(self) -> tuple[str, ...]:
        """The names of the taps of encode_image."""

    @override
    def detect(self, images: Pictures, class_names: Sequence[str] | None = None) -> Detection:
        return self.detect_normalized(self.prepare(as_batch(images)), class_names)

    def prepare(self, images: Pictures) -> Tensor:
        """Return normalised pictures (B, 3, S, S) on the device; of uint8 (B, H, W, 3), or as given."""
        if isinstance(images, Tensor) and images.is_floating_point():
            return self._checked(images.to(self.device, torch.float32))
        batch = resize_to_square(as_batch(images), self.image_size)
        if self.device.type == "cuda" and batch.device.type == "cpu":  # else the copy holds up the host
            batch = batch.pin_memory()
        return normalize(batch.to(self.device, non_blocking=True), self._mean, self._std)

    @override
    @torch.inference_mode()
    def detect_normalized(self, x: Tensor, class_names: Sequence[str] | None = None) -> Detection:
        x = self._checked(x.to(self.device, torch.float32))
        classes = self._class_rows(class_names, len(x))
        batches = zip(self._batches(x), self._batches(classes), strict=True)
        return self._detection([_packed(self.score(some, rows)) for some, rows in batches])

    @override
    @torch.inference_mode()
    def detect_with_patches(
        self, images: Pictures, class_names: Sequence[str] | None = None
    ) -> tuple[Detection, list[Tensor]]:
        x = self._checked(self.prepare(as_batch(images)))
        classes = self._class_rows(class_names, len(x))
        batches = zip(self._batches(x), self._batches(classes), strict=True)
        seen = [self.score_with_patches(some, rows) for some, rows in batches]
        taps = [torch.cat(tap) for tap in zip(*(patches for _, patches in seen), strict=True)]
        return self._detection([_packed(scores) for scores, _ in seen]), taps

    def _detection(self, packed: Sequence[Tensor]) -> Detection:
        families, shape = len(self.family_names), maps.token_shape(self.map_layers)
        numbers = maps.token_count(self.map_layers)
        rows = torch.cat(list(packed)).cpu() if packed else torch.empty(0, 1 + families + numbers)
        score, scores, tokens = torch.split(rows, [1, families, numbers], dim=1)
        return Detection(score[:, 0].clone(), scores.clone(), tokens.reshape(-1, *shape).clone())

    @override
    def raw(self, x: Tensor, class_names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        found = self.detect_normalized(x, class_names)
        return self.published_score * found.score, self.published_map * self.full_map(found.token_map)

    @override
    @torch.inference_mode()
    def patch_features(self, x: Tensor) -> list[tuple[str, Tensor]]:
        x = self._checked(x.to(self.device, torch.float32))
        seen = [self.encode_image(some)[1] for some in self._batches(x) or (x,)]
        taps = [torch.cat(tap)[:, 1:].float() for tap in zip(*seen, strict=True)]
        return list(zip(self.tap_names, taps, strict=True))

    def upsampled(self, grids: Tensor, *, corners: bool) -> Tensor:
        """Return grids (B, g, g) upsampled to (B, S, S), bilinearly; corners: with align_corners=True."""
        layer = MapLayer(grids.shape[-1], self.image_size, smooth=False, corners=corners)
        (operator,) = _operators(layer, self.image_size, grids.device)
        return operator @ grids @ operator.T

    def _checked(self, x: Tensor) -> Tensor:
        side = self.image_size
        if x.ndim != 4 or x.shape[1:] != (3, side, side):
            raise ValueError(f"x: {tuple(x.shape)} given; this detector takes (B, 3, {side}, {side})")
        return x

    def _class_rows(self, names: Sequence[str] | None, count: int) -> Tensor:
        """Return each picture's row in class_names, int64 (B,) on the device; raises ValueError."""
        known = self.class_names
        listed = f"this {self.name} bundle has {', '.join(known) or 'no class names'}"
        if names is None:
            if len(known) > 1:
                raise ValueError(f"class_names: none given; {listed}; give one for each picture")
            return torch.zeros(count, dtype=torch.int64, device=self.device)
        if isinstance(names, str) or len(names) != count:
            raise ValueError(f"class_names: {names!r} given for {count} pictures; give a list of as many")
        for name in names:
            if name not in known:
                raise ValueError(f"class_names: {name!r} given; {listed}")
        rows = [known.index(name) for name in names]
        return torch.tensor(rows, dtype=torch.int64, device=self.device)

    def _batches(self, x: Tensor) -> tuple[Tensor, ...]:
        """Split for the device. One picture fills a CPU; so its rows equal a batch of one to the last bit."""
        return torch.split(x, 1 if self.device.type == "cpu" else len(x)) if len(x) else ()

    @overload
    def full_map(self, token_map: Tensor, size: tuple[int, int] | None = None) -> Tensor: ...
    @overload
    def full_map(
        self, token_map: NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]: ...
    @override
    def full_map(
        self, token_map: Tensor | NDArray[np.floating], size: tuple[int, int] | None = None
    ) -> Tensor | NDArray[np.float32]:
        size = size or (self.image_size, self.image_size)
        if not isinstance(token_map, Tensor):
            return maps.layered_map(token_map, self.map_layers, size)
        down, across = (partial(_operators, length=length, device=token_map.device) for length in size)
        tokens = token_map.float().reshape(-1, maps.token_count(self.map_layers))
        return maps.assemble(tokens, self.map_layers, down, across, torch.sigmoid)  # type: ignore[no-any-return]


def _packed(scores: Scores) -> Tensor:
    """Return score, family scores and token map side by side, so that one copy leaves the device."""
    image, families, tokens = scores
    return torch.cat([image[:, None], families, tokens.flatten(1)], dim=1)


@lru_cache(maxsize=64)
def _operators(layer: MapLayer, length: int, device: torch.device) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(operator, device=device) for operator in maps.axis_operators(layer, length))
