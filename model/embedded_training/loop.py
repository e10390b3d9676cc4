"""The training loop: workers fill the ring, steps draw from it, averaged weights are kept and checked."""

import math
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.embedded_training.check import Check
from model.embedded_training.net import GRID, EmbeddedNet, fresh_stem
from model.embedded_training.objective import loss
from model.embedded_training.ring import BLOCK, PATIENCE, Plan, Ring, Worker, draw_scenes, seen_by
from model.errors import BundleError
from model.lite0 import MEAN, STD
from model.stem import Stem
from model.synthetic.scenes import training_mixture

CHECKPOINT = "checkpoint.pt"
SAMPLE = 512
"""Pictures whose features give the stem's usual range."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """pictures: generated in all. passes: how often each is drawn on average. slots: pictures kept.

    average: half-life of the weights' exponential average, steps.
    """

    seed: int = 7
    pictures: int = 160_000
    passes: float = 1.5
    batch: int = 32
    slots: int = 16_384
    ahead: int = 1_024
    rate: float = 7e-4
    decay: float = 0.05
    warmup: int = 300
    average: float = 150.0
    check_every: int = 250

    @property
    def steps(self) -> int:
        """Steps in all."""
        return int(self.pictures * self.passes / self.batch)

    def ready(self, step: int) -> int:
        """Return how many pictures must be there before a step: a first stock, then at an even pace."""
        stock = min(self.ahead, self.pictures)
        return min(self.pictures, stock + math.ceil((step + 1) * self.batch / self.passes)) // BLOCK * BLOCK

    def rate_at(self, step: int) -> float:
        """Return the learning rate: up, level, and over the last third down to a hundredth."""
        up = min(1.0, (step + 1) / self.warmup)
        left = (self.steps - step) / (self.steps / 3)
        return self.rate * up * max(0.01, min(1.0, left))


class Trainer:
    """One run in a folder; the same folder continues it."""

    def __init__(self, folder: Path, recipe: Recipe, workers: int, say: Callable[[str], None]) -> None:
        self.folder, self.recipe, self.workers, self.say = folder, recipe, workers, say
        folder.mkdir(parents=True, exist_ok=True)
        self.stem = scaled_stem(folder / "stem.pt", recipe.seed)
        shape = stem_of(self.stem)
        self.net, self.averaged = EmbeddedNet(shape), EmbeddedNet(shape)
        self.net.start(recipe.seed)
        self.averaged.load_state_dict(self.net.state_dict())
        self.averaged.requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            _groups(self.net, recipe.decay), lr=recipe.rate, betas=(0.9, 0.98), fused=True
        )
        self.step = 0
        self._resume()

    def run(self) -> EmbeddedNet:
        """Train to the end; return the averaged network."""
        check = Check(self.stem, self.recipe.seed)
        ring = Ring(self.folder, self.recipe.slots, GRID * GRID, len(self.stem.mean))
        with self._filled() as wait_for:
            while self.step < self.recipe.steps:
                wait_for(self.recipe.ready(self.step))
                parts = self._step(ring)
                self.step += 1
                if self.step % 50 == 0:
                    self.say(f"step {self.step}/{self.recipe.steps} " + _listed(parts))
                if self.step % self.recipe.check_every == 0 or self.step == self.recipe.steps:
                    self.say(f"step {self.step} held out: " + _listed(check.measure(self.averaged)))
                    self._save()
        return self.averaged

    def _step(self, ring: Ring) -> dict[str, float]:
        features, masks = ring.read(self._draw())
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        total, parts = loss(self.net(features), masks)
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self._average()
        return parts

    def _draw(self) -> Any:
        """Return picture numbers of a batch: pairs drawn from those that are surely in the ring."""
        rng = np.random.default_rng([self.recipe.seed, 1, self.step])
        ready = self.recipe.ready(self.step)
        margin = self.recipe.ahead + BLOCK * (self.workers + 1)
        first = max(0, ready - self.recipe.slots + margin)
        pairs = rng.integers(first // 2, ready // 2, self.recipe.batch // 2)
        return np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(0.5 ** (1 / self.recipe.average), 1 - 1 / (1 + self.step))
        ours, theirs = (list[Tensor](module.parameters()) for module in (self.averaged, self.net))
        torch._foreach_lerp_(ours, theirs, 1 - keep)

    @contextmanager
    def _filled(self) -> Iterator[Callable[[int], None]]:
        """Run the workers; yield a function that lets them go on and waits until pictures are there."""
        context = multiprocessing.get_context("spawn")
        first = self.recipe.ready(self.step - 1) // BLOCK if self.step else 0
        done = context.Array("q", [first] * self.workers)
        limit = context.Value("q", 0)
        make_ring = partial(Ring, self.folder, self.recipe.slots, GRID * GRID, len(self.stem.mean))
        plan = Plan(self.recipe.seed, self.recipe.pictures)
        processes = []
        for index in range(self.workers):
            worker = Worker(
                plan,
                index,
                self.workers,
                make_ring,
                partial(scaled_stem, self.folder / "stem.pt", 0),
                MEAN[0],
                STD[0],
            )
            processes.append(context.Process(target=worker.work, args=(done, limit, first), daemon=True))
            processes[-1].start()

        def wait_for(pictures: int) -> None:
            limit.value = min(pictures + self.recipe.ahead, self.recipe.pictures)
            while min(done[:]) * BLOCK < pictures:
                for process in processes:
                    process.join(PATIENCE / len(processes))
                    if process.exitcode:
                        raise BundleError(
                            f"a worker ended with code {process.exitcode}; the same command continues"
                        )

        try:
            yield wait_for
        finally:
            limit.value = -1
            for process in processes:
                process.join()

    def _save(self) -> None:
        path = self.folder / CHECKPOINT
        draft = path.with_suffix(".part")
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(state, draft)
        draft.replace(path)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.say(f"continuing after step {self.step}")


def stem_of(stem: Stem) -> Any:
    """Return the shape of a stem."""
    from model.stem import stem_shape

    return stem_shape({f"stem.{n}": t for n, t in stem.state_dict().items()}, "stem.", "stem")


def scaled_stem(path: Path, seed: int) -> Stem:
    """Return the stem with features of mean 0 and deviation 1 over generated pictures; kept at path."""
    stem = fresh_stem()
    if path.is_file():
        stem.load_state_dict(torch.load(path, weights_only=True))
        return stem
    rng = np.random.default_rng([seed, 2])
    scenes = draw_scenes(rng, training_mixture(0.5), SAMPLE)
    parts = [seen_by(stem, scenes[at : at + BLOCK], MEAN[0], STD[0]) for at in range(0, SAMPLE, BLOCK)]
    features = torch.cat(parts).flatten(0, 1).float()
    stem.mean.data, stem.scale.data = features.mean(dim=0), 1 / features.std(dim=0)
    torch.save(stem.state_dict(), path)
    return stem


def _groups(net: EmbeddedNet, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices alone."""
    named = list(net.named_parameters())
    matrices = [p for n, p in named if p.ndim >= 2 and "embedding" not in n and n != "vectors"]
    kept = {id(p) for p in matrices}
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": [p for _, p in named if id(p) not in kept], "weight_decay": 0.0},
    ]


def _listed(parts: dict[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in parts.items())
