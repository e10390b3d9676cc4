"""The training loop: steps draw from the ring; averaged weights are checked, kept and written down."""

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.embedded_training.augment import generator_of, restyled, shown
from s2sw.model.embedded_training.check import Check
from s2sw.model.embedded_training.export import export, shipped_tensors
from s2sw.model.embedded_training.filling import filled
from s2sw.model.embedded_training.net import EmbeddedNet
from s2sw.model.embedded_training.objective import loss
from s2sw.model.embedded_training.pictures import QUICK
from s2sw.model.embedded_training.recipe import Recipe
from s2sw.model.embedded_training.ring import BLOCK, Ring
from s2sw.model.errors import BundleError
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.weights.shipped import frozen_stem
from s2sw.model.weights.shipped_files import STEM
from s2sw.model.weights.tensors import read_tensors
from s2sw.schemas.whole_files import BY_UMASK, whole_file

CHECKPOINT, EXPORTED = "checkpoint.pt", "embedded.safetensors"
TALK_EVERY = 50


class Trainer:
    """One run in a folder; the same folder continues it after its last check.

    say: takes lines for people: losses, and figures on kinds of pictures held out. stem: its file. start: a
    trained file to begin with. pictures: where generated ones are kept, ``folder`` by default; a run with the
    same seed, number, ramp and surfaces may have left them there.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        workers: int,
        say: Callable[[str], None],
        stem: Path = STEM,
        start: Path | None = None,
        pictures: Path | None = None,
    ) -> None:
        self.folder, self.recipe, self.workers, self.say = folder, recipe, workers, say
        self.pictures = pictures or folder
        for place in (folder, self.pictures):
            place.mkdir(parents=True, exist_ok=True)
        self.stem_file, self.stem = stem, frozen_stem(stem, PICTURE, QUICK)
        self.net, self.averaged = EmbeddedNet(self.stem.shape), EmbeddedNet(self.stem.shape)
        self.net.start(recipe.seed)
        if start:
            self.net.start_from(read_tensors(start), str(start))
        self.averaged.load_state_dict(self.net.state_dict())
        self.averaged.requires_grad_(False)
        self.first = copy.deepcopy(self.averaged)
        self.optimizer = torch.optim.AdamW(
            _groups(self.net, recipe.decay), lr=recipe.rate, betas=(0.9, 0.98), fused=True
        )
        self.step = 0
        self._resume()

    def run(self, check: Check) -> Path:
        """Train to the end; return the file of the averaged weights, written again at every check."""
        recipe, features = self.recipe, self.stem.shape.features
        opened = filled(self.pictures, recipe, self.stem_file, features, self.workers, self.step)
        with opened as (ring, wait_for):
            while self.step < recipe.steps:
                wait_for(recipe.ready(self.step))
                parts = self._step(ring)
                self.step += 1
                if self.step % TALK_EVERY == 0:
                    self.say(f"step {self.step}/{recipe.steps}: {listed(parts)}")
                if self.step % recipe.check_every == 0 or self.step == recipe.steps:
                    figures, calibration = check.measure(self.kept())
                    self.say(f"held out, step {self.step}: {listed(figures)}")
                    self._save(calibration)
        return self.folder / EXPORTED

    def _step(self, ring: Ring) -> dict[str, float]:
        features, masks = ring.read(self.drawn(self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        shape, generator = self.stem.shape, generator_of(self.recipe, self.step)
        visible = shown(self.recipe, shape, generator)
        features = restyled(features, self.recipe, shape, generator)
        total, parts = loss(self.net(features, visible), masks, self.recipe.peak)
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self._average()
        return parts

    def drawn(self, step: int) -> NDArray[np.int64]:
        """Return a step's picture numbers: pairs from all that are surely in the ring."""
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        ready = self.recipe.ready(step)
        margin = self.recipe.ahead + BLOCK * (self.workers + 1)
        first = max(0, ready - self.recipe.slots + margin)
        pairs = rng.integers(first // 2, ready // 2, self.recipe.batch // 2)
        return np.stack([2 * pairs, 2 * pairs + 1], axis=1).reshape(-1)

    @torch.no_grad()
    def kept(self) -> EmbeddedNet:
        """Return the network that is checked and written: averaged weights, blended with the first ones."""
        kept = copy.deepcopy(self.first)
        ours, theirs = (list[Tensor](module.parameters()) for module in (kept, self.averaged))
        torch._foreach_lerp_(ours, theirs, self.recipe.blend)
        return kept

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(0.5 ** (1 / self.recipe.average), 1 - 1 / (1 + self.step))
        ours, theirs = (list[Tensor](module.parameters()) for module in (self.averaged, self.net))
        torch._foreach_lerp_(ours, theirs, 1 - keep)

    def _save(self, calibration: dict[str, Tensor]) -> None:
        export(shipped_tensors(self.kept(), calibration), self.folder / EXPORTED)
        path = self.folder / CHECKPOINT
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "first": self.first.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with whole_file(path, BY_UMASK) as file:
            torch.save(state, file)

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        state = read_tensors(path)
        for name, value in asdict(self.recipe).items():
            if name != "pictures" and state["recipe"][name] != value:  # a run may be made longer or shorter
                raise BundleError(
                    f"{path}: {name} was {state['recipe'][name]}, {value} given; continue with that or name "
                    "another folder"
                )
        self.net.load_state_dict(state["net"])
        self.averaged.load_state_dict(state["averaged"])
        self.first.load_state_dict(state["first"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.say(f"continuing after step {self.step}")


def _groups(net: EmbeddedNet, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices alone."""
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    for name, parameter in net.named_parameters():
        matrix = parameter.ndim >= 2 and "embedding" not in name and name != "vectors"
        (decayed if matrix else free).append(parameter)
    return [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]


def listed(parts: dict[str, float]) -> str:
    """Return figures in one line, to four digits."""
    return ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
