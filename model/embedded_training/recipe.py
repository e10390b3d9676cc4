"""What a training run is made of, and what follows from it for each step."""

import math
from dataclasses import dataclass, replace

from s2sw.model.embedded_training.ring import BLOCK


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made of; docs/embedded-model.md says which runs made the shipped weights.

    pictures: generated in all. passes: how often each is drawn on average. batch: pictures a step. slots:
    pictures kept on disk. ahead: pictures made before their step. rate, decay: of AdamW. average: half-life
    of the weights' exponential average, steps. ramp: share of the pictures over which they grow harder.
    dropped: share of features hidden from a pair. blind: share of pairs that see features only relative to
    their picture, so that what a feature usually is tells no more than it must. blend: share of the trained
    weights in those that are kept; the rest are the weights that training began with. photographs: whether
    parts of real ones are among the surfaces. peak: weight of the loss of a map's highest patches.
    restyled: share of pairs that take means and deviations of features from another pair, in part.
    """

    seed: int = 7
    pictures: int = 6_000
    passes: float = 3.0
    batch: int = 24
    slots: int = 16_384
    ahead: int = 512
    rate: float = 5e-4
    decay: float = 0.05
    warmup: int = 80
    average: float = 80.0
    blend: float = 1.0
    ramp: float = 0.4
    dropped: float = 0.1
    blind: float = 0.3
    check_every: int = 100
    photographs: bool = False
    peak: float = 0.0
    restyled: float = 0.0

    @property
    def steps(self) -> int:
        """Steps in all."""
        return int(self.pictures * self.passes / self.batch)

    def ready(self, step: int) -> int:
        """Return how many pictures must be there before a step: a first stock, then at an even pace."""
        made = min(self.ahead, self.pictures) + math.ceil((step + 1) * self.batch / self.passes)
        return min(self.pictures, made) // BLOCK * BLOCK

    def rate_at(self, step: int) -> float:
        """Return the learning rate: up, level, and over the last third down to a hundredth."""
        up = min(1.0, (step + 1) / self.warmup)
        left = (self.steps - step) / (self.steps / 3)
        return self.rate * up * max(0.01, min(1.0, left))


def members(recipe: Recipe) -> list[Recipe]:
    """Return the runs whose weights are averaged, all from the same first weights.

    Source: Wortsman et al., "Model soups", ICML 2022: runs that differ in their recipes alone end close
    enough together for it. Measured here on the kinds held out; docs/embedded-model.md says what it gave.
    """
    longer = replace(
        recipe, pictures=2 * recipe.pictures, passes=recipe.passes * 2 / 3, ramp=recipe.ramp / 2,
        average=1.5 * recipe.average, photographs=True, peak=0.3,
    )  # fmt: skip
    return [recipe, longer, replace(longer, blind=0.5, restyled=0.5)]


def going_on(recipe: Recipe) -> Recipe:
    """Return a recipe for weights that are trained already.

    A lower rate, full difficulty at once, photographs, features that are changed more, and maps whose highest
    patches speak for the picture.
    Halfway between the old weights and the new transfers better than either (Wortsman et al., Robust
    fine-tuning of zero-shot models, CVPR 2022; measured here on the kinds held out).
    """
    return replace(
        recipe, rate=3e-4, warmup=60, ramp=0.0, blend=0.5, photographs=True, peak=0.3, blind=0.5, restyled=0.5
    )
