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

from s2sw.model.embedded_training.pictures import MASK, draw_scenes, seen_by, shrunk
from s2sw.model.synthetic.scenes import Scene, training_mixture
from s2sw.model.towers.stem import Stem

BLOCK = 32
"""Pictures that one worker makes at a time: 16 pairs."""
PATIENCE = 0.05
"""Seconds between looks at the other side."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run draws: pictures in all, until which share they grow harder, photographs or none."""

    seed: int
    pictures: int
    ramp: float
    photographs: bool = False

    def block(self, number: int) -> list[Scene]:
        """Return the scenes of one block: normal, defective, normal, defective..."""
        done = number * BLOCK / self.pictures
        difficulty = min(1.0, 0.35 + 0.65 * done / self.ramp) if done < self.ramp else 1.0
        rng = np.random.default_rng([self.seed, number])
        return draw_scenes(rng, training_mixture(difficulty, photographs=self.photographs), BLOCK)


class Ring:
    """Features (slots, N, K) float16 and masks (slots, MASK, MASK) uint8, mapped from files in a folder.

    A third file says which block lies where, so that a run that goes on makes none again.
    """

    def __init__(self, folder: Path, slots: int, patches: int, features: int) -> None:
        self.slots = slots
        self.features = _mapped(folder / "features.bin", np.float16, (slots, patches, features))
        self.masks = _mapped(folder / "masks.bin", np.uint8, (slots, MASK, MASK))
        self.blocks = _mapped(folder / "blocks.bin", np.int64, (slots // BLOCK,))

    def write(self, number: int, features: Tensor, masks: NDArray[np.uint8]) -> None:
        """Put block ``number`` into its slots."""
        at = number * BLOCK % self.slots
        self.blocks[at // BLOCK] = 0  # while it is being written
        self.features[at : at + BLOCK] = features.numpy()
        self.masks[at : at + BLOCK] = masks
        self.blocks[at // BLOCK] = number + 1

    def holds(self, number: int) -> bool:
        """Tell whether block ``number`` is in its slots."""
        return bool(self.blocks[number % len(self.blocks)] == number + 1)

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
            if not ring.holds(number):
                scenes = self.plan.block(number)
                masks = np.stack([shrunk(s.mask) for s in scenes])
                ring.write(number, seen_by(stem, scenes), masks)
            done[self.index] = number + self.workers


def _parent_lives() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
