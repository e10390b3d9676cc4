"""What is trained of a detector: parameters, the loss of a step, and what the bundle is built from."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.precision import Precision
from s2sw.model.prompts.families import WORDS
from s2sw.model.prompts.learned import LearnedPrompts, embed_words
from s2sw.model.towers.shapes import TextShape
from s2sw.model.towers.text import TextTower
from s2sw.model.training.visual import Features, Pass

CONTEXT_STD = 0.02
DEEP_PROMPTS, DEEP_TOKENS = 8, 4
NORMAL, ANOMALOUS, DEEP = "ctx_pos", "ctx_neg", "compound_prompts_text."
"""Names of the published checkpoints, so that ``bundle build --prompts`` reads what training leaves."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pictures of a step: features, masks (B, S, S) 0 or 1, labels (B,) 0 or 1, and class names.

    beside: features of a normal picture for each, where a trainee compares with such.
    """

    features: Features
    masks: Tensor
    labels: Tensor
    classes: Sequence[str]
    beside: Features | None = None


class Trainee(Protocol):
    """One detector's trainable part."""

    @property
    def use(self) -> Pass:
        """How it reads the tower."""

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Published names to the tensors that are trained."""

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Published names to what changes in training without a gradient."""

    @property
    def compares(self) -> bool:
        """Whether each picture comes with a normal one of its class."""

    def losses(self, batch: Batch, draw: random.Random) -> dict[str, Tensor]:
        """Return the losses of a batch by name, ``total`` among them; draw: for random choices.

        Without gradients, as for pictures that are held out, nothing changes.
        """

    def checkpoint(self) -> dict[str, Tensor]:
        """Return what ``bundle build`` and later trainings read, by its published names."""

    def options(self) -> dict[str, Any]:
        """Return what ``build_bundle`` needs beside the weights and the size."""


class Plain:
    """What a trainee adds that has parameters alone and looks at one picture at a time."""

    buffers: ClassVar[dict[str, Tensor]] = {}
    compares: ClassVar[bool] = False

    def checkpoint(self: Trainee) -> dict[str, Tensor]:
        """Return the parameters."""
        return self.parameters


@dataclass(frozen=True, slots=True)
class How:
    """Where it is trained, and whether the text tower computes in bfloat16; losses are float32 always."""

    device: torch.device
    precision: Precision = "fp32"


def leaves(named: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return copies on the device that gather gradients."""
    return {name: tensor.detach().clone().to(device).requires_grad_() for name, tensor in named.items()}


def initial(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """Return normally distributed values, the same for a seed on every device."""
    return torch.randn(shape, generator=generator) * std


class Prompts:
    """Learned contexts and deep prompts as parameters of a text tower that stays as it is."""

    def __init__(self, tower: TextTower, families: tuple[str, ...], begun: LearnedPrompts, how: How) -> None:
        """Begin with these prompts; the tower moves to the device. Raises BundleError for another width."""
        if begun.normal.shape[1] != tower.shape.width:
            raise BundleError(
                f"prompts are {begun.normal.shape[1]} wide where this CLIP's text tower is "
                f"{tower.shape.width}; start from prompts of the same CLIP"
            )
        named = {NORMAL: begun.normal, ANOMALOUS: begun.anomalous}
        named |= {f"{DEEP}{number}": deep for number, deep in enumerate(begun.deep)}
        self.parameters = leaves(named, how.device)
        contexts = len(begun.normal)
        with torch.no_grad():
            words = {family: embed_words(WORDS[family], contexts, tower) for family in families}
        self._embedded = {f: (w.to(how.device), end.to(how.device)) for f, (w, end) in words.items()}
        self._tower, self._families, self._how = tower.to(how.device), families, how

    def features(self) -> dict[str, Tensor]:
        """Return each family's raw text features (2, C), float32, with gradient."""
        lower = self._how.precision == "bf16"
        with torch.autocast(self._how.device.type, torch.bfloat16, enabled=lower):
            found = self._learned(self.parameters, self._embedded).features(self._tower, self._families)
        return {family: feature.float() for family, feature in found.items()}

    def trained(self) -> LearnedPrompts:
        """Return the prompts as they are, on the CPU."""
        return self._learned({n: p.detach().cpu() for n, p in self.parameters.items()}, {})

    @staticmethod
    def _learned(
        named: Mapping[str, Tensor], embedded: Mapping[str, tuple[Tensor, Tensor]]
    ) -> LearnedPrompts:
        deep = sorted((name for name in named if name.startswith(DEEP)), key=lambda n: int(n[len(DEEP) :]))
        return LearnedPrompts(named[NORMAL], named[ANOMALOUS], tuple(named[n] for n in deep), embedded)


def drawn(text: TextShape, contexts: int, seed: int) -> LearnedPrompts:
    """Draw prompts to begin with from a seed: as many contexts as asked for, and the published deep ones."""
    generator, width = torch.Generator().manual_seed(seed), text.width
    normal, anomalous = (initial((contexts, width), CONTEXT_STD, generator) for _ in range(2))
    count = min(DEEP_PROMPTS, text.layers - 1)
    deep = tuple(initial((DEEP_TOKENS, width), CONTEXT_STD, generator) for _ in range(count))
    return LearnedPrompts(normal, anomalous, deep)
