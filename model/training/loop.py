"""The training loop: seeded, resumable at any step, with a held-out loss that can end it."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.training.curves import write_curve
from s2sw.model.training.data import Item, another, batch_of, normal_items
from s2sw.model.training.recipes import BETAS
from s2sw.model.training.state import Curve, State, read_state
from s2sw.model.training.store import FeatureStore
from s2sw.model.training.trainees import Trainee

STATE, CURVE = "state.pt", "curve.csv"
HELD_OUT = "held_out"
SAVE_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """How long and with what. side: of the masks, S. patience: epochs without a lower held-out loss."""

    epochs: int
    batch: int
    side: int
    seed: int
    device: torch.device
    patience: int | None = None
    learning_rate: float = 1e-3

    def steps(self, count: int) -> int:
        """Return how many steps an epoch over so many pictures has."""
        return math.ceil(count / self.batch)


Progress = Callable[[State, Curve], None]
"""Called after every step with the state and the means of the epoch so far."""


class Training:
    """One training in one folder. Running it again after a kill goes on where it was."""

    def __init__(
        self,
        trainee: Trainee,
        plan: Plan,
        store: FeatureStore,
        train: Sequence[Item],
        held_out: Sequence[Item],
        folder: Path,
        key: str,
    ) -> None:
        """key: names data, weights and settings. Raises BundleError where another one is there."""
        self.trainee, self.plan, self.store, self.folder = trainee, plan, store, folder
        self.train, self.held_out = list(train), list(held_out)
        self._normals = normal_items(self.train) if trainee.compares else {}
        self._refuse_without_normals()
        self._optimizer = torch.optim.Adam(trainee.parameters.values(), lr=plan.learning_rate, betas=BETAS)
        found = read_state(folder / STATE, key)
        self.state = found or State(key, self._parameters(), self._optimizer.state_dict())
        if found:
            self._optimizer.load_state_dict(found.optimizer)
            self._set(found.parameters)
        self._saved = time.monotonic()

    def run(self, progress: Progress = lambda state, means: None) -> State:
        """Train to the end and leave the chosen parameters in the trainee: the best held out, or the last."""
        while not self.finished:
            self._epoch(progress)
        if self.state.best:
            self._set(self.state.best)
        return self.state

    @property
    def finished(self) -> bool:
        """Whether all epochs are over, or none of the last ``patience`` was better than the best."""
        plan, state = self.plan, self.state
        waited = state.epoch - state.best_epoch
        tired = bool(self.held_out) and plan.patience is not None and waited >= plan.patience
        return state.epoch >= plan.epochs or tired

    def _epoch(self, progress: Progress) -> None:
        """Go through all pictures in an order that depends on the seed and the epoch alone."""
        state, plan = self.state, self.plan
        order = random.Random(f"{plan.seed} order {state.epoch}").sample(self.train, len(self.train))  # noqa: S311
        started = time.monotonic()
        for step in range(state.step, plan.steps(len(order))):
            some = order[step * plan.batch : (step + 1) * plan.batch]
            losses = self._losses(some, f"{plan.seed} pairs {state.epoch} {step}")
            self._check(float(losses["total"].detach()))
            self._optimizer.zero_grad()
            losses["total"].backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            state.step = step + 1
            for name, loss in losses.items():
                state.sums[name] = state.sums.get(name, 0.0) + float(loss.detach())
            progress(state, {name: total / state.step for name, total in state.sums.items()})
            if time.monotonic() - self._saved > SAVE_SECONDS:
                self._save()
        self._close_epoch(time.monotonic() - started)

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise BundleError(
                f"the loss is {loss} in epoch {self.state.epoch + 1}; look at the masks and labels, or train "
                "with precision fp32"
            )

    def _close_epoch(self, seconds: float) -> None:
        state = self.state
        row: Curve = {"epoch": state.epoch + 1}
        row |= {name: total / max(state.step, 1) for name, total in state.sums.items()}
        state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
        if self.held_out:
            row[HELD_OUT] = self.held_out_loss()
            if row[HELD_OUT] < state.best_loss:
                state.best_loss, state.best_epoch, state.best = row[HELD_OUT], state.epoch, self._parameters()
        state.curve.append({**row, "seconds": round(seconds, 3)})
        self._save()
        write_curve(self.folder / CURVE, state.curve)

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Return the mean loss of a held-out picture, in batches with the same pairs every time."""
        total, size = 0.0, self.plan.batch
        for start in range(0, len(self.held_out), size):
            some = self.held_out[start : start + size]
            total += float(self._losses(some, f"held out {start}")["total"]) * len(some)
        return total / len(self.held_out)

    def _losses(self, items: Sequence[Item], seed: str) -> dict[str, Tensor]:
        """Return the losses of some pictures; seed: of what is random about them."""
        draw = random.Random(seed)  # noqa: S311 (no secret)
        beside = [another(self._normals[item.group], item, draw) for item in items if self._normals]
        batch = batch_of(items, self.store, self.plan.side, self.plan.device, beside)
        return self.trainee.losses(batch, draw)

    def _refuse_without_normals(self) -> None:
        for item in [*self.train, *self.held_out] if self.trainee.compares else ():
            if item.group not in self._normals:
                raise BundleError(
                    f"{item.group}: no normal picture, which this detector compares others with"
                )

    def _parameters(self) -> dict[str, Tensor]:
        everything = self.trainee.parameters | self.trainee.buffers
        return {name: value.detach().cpu().clone() for name, value in everything.items()}

    @torch.no_grad()
    def _set(self, parameters: dict[str, Tensor]) -> None:
        for name, value in (self.trainee.parameters | self.trainee.buffers).items():
            value.copy_(parameters[name])

    def _save(self) -> None:
        self.state.parameters, self.state.optimizer = self._parameters(), self._optimizer.state_dict()
        self.state.save(self.folder / STATE)
        self._saved = time.monotonic()
