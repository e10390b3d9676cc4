"""The whole recipe of the embedded detector: from generated pictures to the files that ship."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from s2sw.model.detectors.embedded import bundle_of
from s2sw.model.embedded_training.check import Check
from s2sw.model.embedded_training.export import add_few_shot, export, shipped_tensors
from s2sw.model.embedded_training.loop import EXPORTED, Trainer, listed
from s2sw.model.embedded_training.net import EmbeddedNet
from s2sw.model.embedded_training.pictures import QUICK
from s2sw.model.embedded_training.recipe import Recipe, going_on, members
from s2sw.model.errors import BundleError
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.synthetic.photographs import photographs_folder
from s2sw.model.towers.shapes import StemShape
from s2sw.model.towers.stem import Stem
from s2sw.model.weights.shipped import frozen_stem
from s2sw.model.weights.shipped_files import STEM
from s2sw.model.weights.tensors import read_tensors

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

    start: weights to go on from, in one run; without, the runs of ``members`` and their average. workers:
    processes that generate pictures. threads: of the training. say: takes lines for people. Raises
    BundleError for a folder whose run is finished, for a wrong start, and without the photographs' package.
    """
    if (folder / BUNDLE).exists():
        raise BundleError(f"{folder / BUNDLE}: this run is finished; name another folder")
    torch.set_num_threads(threads)
    if start:
        trainer = Trainer(folder, going_on(recipe), workers, say, start=start)
        exported = trainer.run(_check(folder, trainer.stem, recipe))
    else:
        exported = _averaged_runs(folder, recipe, workers, say)
    add_few_shot(STEM, exported, recipe.seed)
    bundle_of(load_file(STEM), load_file(exported), folder / BUNDLE)
    return exported


def _averaged_runs(folder: Path, recipe: Recipe, workers: int, say: Callable[[str], None]) -> Path:
    photographs_folder()  # say at once that they are missing, not after the first run
    folder.mkdir(parents=True, exist_ok=True)
    stem = frozen_stem(STEM, PICTURE, QUICK)
    check = _check(folder, stem, recipe)
    runs, files = members(recipe), []
    for number, member in enumerate(runs, start=1):
        say(f"run {number} of {len(runs)}")
        pictures = folder / ("photographs" if member.photographs else "pictures")
        files.append(Trainer(folder / str(number), member, workers, say, pictures=pictures).run(check))
    return average(files, stem.shape, check, folder / EXPORTED, say)


def _check(folder: Path, stem: Stem, recipe: Recipe) -> Check:
    return Check(stem, recipe.seed, kept=folder / "check.pt")


@torch.no_grad()
def average(
    files: Sequence[Path], stem: StemShape, check: Check, out: Path, say: Callable[[str], None]
) -> Path:
    """Write the mean of exported files' weights to ``out``, calibrated anew; return ``out``."""
    nets = []
    for file in files:
        nets.append(EmbeddedNet(stem))
        nets[-1].start_from(read_tensors(file), str(file))
    for parameters in zip(*(net.parameters() for net in nets), strict=True):
        parameters[0].copy_(torch.stack(parameters).mean(dim=0))
    figures, calibration = check.measure(nets[0])
    say(f"held out, average: {listed(figures)}")
    export(shipped_tensors(nets[0], calibration), out)
    return out
