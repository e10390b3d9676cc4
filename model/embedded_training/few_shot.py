"""How much a memory of normal pictures says beside the trained network: fitted on generated ones."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from s2sw.model.detectors.embedded import Embedded, log_odds
from s2sw.model.embedded_training.calibration import fitted
from s2sw.model.embedded_training.pictures import GRID, MASK, shrunk
from s2sw.model.heads.stem_memory import remember
from s2sw.model.synthetic.scenes import Mixture, Scene, draw_kin, held_out_mixture, training_mixture

REFERENCES = 4
"""Normal pictures of one memory."""
TASKS = 96
EVERY = 4
"""Patches of which one is fitted to: neighbours tell the same."""


@torch.inference_mode()
def few_shot_lines(detector: Embedded, seed: int, tasks: int = TASKS) -> dict[str, Tensor]:
    """Return the detector's weights of map and memory, ``calibration.patch`` and ``calibration.few_shot``.

    Half of the memories are of kinds that training never draws.
    """
    patches, pictures = [], []
    for normals, pair in _tasks(np.random.default_rng([seed, 6]), tasks):
        memory = remember([detector.tower.stem.tapped(_both(detector, scene)) for scene in normals])
        for label, scene in enumerate(pair):
            x = _prepared(detector, scene)
            found = detector.score(x, torch.zeros(1, dtype=torch.int64))
            unlike = memory.unlike(detector.tower.stem.tapped(x))
            hit = _share(scene)
            rows = torch.stack([log_odds(found.tokens).flatten(), unlike.flatten(), hit], dim=1)
            patches.append(rows[(hit == 0) | (hit > 0.5)][label::EVERY])
            zero_shot = log_odds(found.image)
            few_shot = log_odds(torch.sigmoid(memory.picture(unlike)))
            pictures.append(torch.stack([zero_shot[0], few_shot[0], torch.tensor(float(label))]))
    return {
        "calibration.patch": _line(torch.cat(patches)),
        "calibration.few_shot": _line(torch.stack(pictures)),
    }


def _tasks(rng: np.random.Generator, count: int) -> Iterator[tuple[list[Scene], tuple[Scene, Scene]]]:
    mixtures: tuple[Mixture, ...] = (held_out_mixture(), training_mixture(0.8))
    for number in range(count):
        yield draw_kin(rng, mixtures[number % 2], REFERENCES)


def _prepared(detector: Embedded, scene: Scene) -> Tensor:
    return detector.prepare(scene.picture[None])


def _both(detector: Embedded, scene: Scene) -> Tensor:
    x = _prepared(detector, scene)
    return torch.cat([x, x.flip(-1)])


def _share(scene: Scene) -> Tensor:
    """Return each patch's share of defect (N,), 0..1."""
    cells = torch.from_numpy(shrunk(scene.mask)).float() / 255
    cell = MASK // GRID
    return cells.reshape(GRID, cell, GRID, cell).mean(dim=(1, 3)).flatten()


def _line(rows: Tensor) -> Tensor:
    return fitted(rows[:, :-1], (rows[:, -1] > 0.5).float())
