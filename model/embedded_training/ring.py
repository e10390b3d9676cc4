"""A ring of training pictures as stem features on disk, filled by worker processes while training reads it.

Which pictures a step can draw follows from the step's number alone, so that a seed repeats a run whatever
the machine's speed: workers keep at most ``ahead`` pictures in front, and steps wait for theirs.
"""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.precision import quick_type
from s2sw.model.synthetic.fields import SIDE
from s2sw.model.synthetic.scenes import Mixture, Scene, draw_pair, training_mixture
from s2sw.model.towers.preprocess import normalize
from s2sw.model.towers.stem import Stem
from s2sw.model.weights.efficientnet import MEAN, STD

BLOCK = 32
"""Pictures that one worker makes at a time: 16 pairs."""
MASK = 60
"""Side of the stored masks: shares of defect in 0..255."""
QUICK = quick_type(torch.device("cpu"))
"""What the products of stem and tower run in."""
PATIENCE = 0.05
"""Seconds between looks at the other side."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run draws: pictures in all, and until which share of them they grow harder."""

    seed: int
    pictures: int
    ramp: float

    def block(self, number: int) -> list[Scene]:
        """Return the scenes of one block: normal, defective, normal, defective..."""
        done = number * BLOCK / self.pictures
        difficulty = min(1.0, 0.35 + 0.65 * done / self.ramp) if done < self.ramp else 1.0
        rng = np.random.default_rng([self.seed, number])
        return draw_scenes(rng, training_mixture(difficulty), BLOCK)


def draw_scenes(rng: np.random.Generator, mixture: Mixture, count: int) -> list[Scene]:
    """Return ``count`` scenes, count even: pairs of a normal picture and the same with defects."""
    return [scene for _ in range(count // 2) for scene in draw_pair(rng, mixture)]


def shrunk(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a mask's share of defect on MASK x MASK cells, 0..255."""
    cell = SIDE // MASK
    return np.asarray(mask.reshape(MASK, cell, MASK, cell).mean(axis=(1, 3)) * 255, np.uint8)


@torch.inference_mode()
def seen_by(stem: Stem, scenes: list[Scene]) -> Tensor:
    """Return the stem's features (B, N, K) of scenes, float16."""
    pictures = torch.from_numpy(np.stack([s.picture for s in scenes]))
    x = normalize(pictures, *(torch.tensor(c).view(3, 1, 1) for c in (MEAN, STD)))
    with torch.autocast("cpu", torch.bfloat16, enabled=QUICK is torch.bfloat16):
        return stem.features(x).to(torch.float16)


class Ring:
    """Features (slots, N, K) float16 and masks (slots, MASK, MASK) uint8, mapped from files in a folder."""

    def __init__(self, folder: Path, slots: int, patches: int, features: int) -> None:
        self.slots = slots
        self.features = _mapped(folder / "features.bin", np.float16, (slots, patches, features))
        self.masks = _mapped(folder / "masks.bin", np.uint8, (slots, MASK, MASK))

    def write(self, number: int, features: Tensor, masks: NDArray[np.uint8]) -> None:
        """Put block ``number`` into its slots."""
        at = number * BLOCK % self.slots
        self.features[at : at + BLOCK] = features.numpy()
        self.masks[at : at + BLOCK] = masks

    def read(self, pictures: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return features (B, N, K) float16 and masks (B, MASK, MASK) float32 in 0..1 of picture numbers."""
        slots = pictures % self.slots
        return torch.from_numpy(self.features[slots]), torch.from_numpy(self.masks[slots]).float() / 255


def _mapped(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    mode: Any = "r+" if path.is_file() else "w+"
    return np.memmap(path, dtype, mode, shape=shape)


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process needs; it makes blocks index, index + workers, ... from ``first`` on."""

    plan: Plan
    index: int
    workers: int
    make_ring: Callable[[], Ring]
    make_stem: Callable[[], Stem]

    def work(self, done: "SynchronizedArray[int]", limit: "Synchronized[int]", first: int) -> None:
        """Fill the ring. done[index]: blocks before it are there; limit: pictures allowed, -1 to stop."""
        torch.set_num_threads(1)
        ring, stem = self.make_ring(), self.make_stem()
        start = first + (self.index - first) % self.workers
        for number in range(start, self.plan.pictures // BLOCK, self.workers):
            while _parent_lives() and 0 <= limit.value < (number + 1) * BLOCK:
                time.sleep(PATIENCE)
            if limit.value < 0 or not _parent_lives():
                return
            scenes = self.plan.block(number)
            masks = np.stack([shrunk(s.mask) for s in scenes])
            ring.write(number, seen_by(stem, scenes), masks)
            done[self.index] = number + self.workers


def _parent_lives() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
