"""The whole recipe of the embedded detector: from generated pictures to the files that ship."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from s2sw.model.detectors.embedded import bundle_of
from s2sw.model.embedded_training.check import Check
from s2sw.model.embedded_training.export import add_few_shot
from s2sw.model.embedded_training.loop import Trainer
from s2sw.model.embedded_training.recipe import Recipe, going_on
from s2sw.model.errors import BundleError
from s2sw.model.weights.shipped_files import STEM

BUNDLE = "bundle"


def make_embedded(
    folder: Path,
    recipe: Recipe,
    start: Path | None,
    workers: int,
    threads: int,
    say: Callable[[str], None],
) -> Path:
    """Train, or go on where a run was stopped, and write a bundle; return the file that the package ships.

    start: weights to go on from. workers: processes that generate pictures. threads: of the training. say:
    takes lines for people. Raises BundleError for a folder whose run is finished, and for a wrong start.
    """
    if (folder / BUNDLE).exists():
        raise BundleError(f"{folder / BUNDLE}: this run is finished; name another folder")
    torch.set_num_threads(threads)
    trainer = Trainer(folder, going_on(recipe) if start else recipe, workers, say, start=start)
    exported = trainer.run(Check(trainer.stem, recipe.seed, kept=folder / "check.pt"))
    add_few_shot(STEM, exported, recipe.seed)
    bundle_of(load_file(STEM), load_file(exported), folder / BUNDLE)
    return exported
