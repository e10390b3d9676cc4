"""One training from a data set to a bundle."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from s2sw.connectors.datasets import DataSet, open_dataset
from s2sw.model.bundles.files import new_folder
from s2sw.model.errors import BundleError
from s2sw.model.precision import Precision, usable
from s2sw.model.training.data import Item, held_out
from s2sw.model.training.loop import Plan, Training
from s2sw.model.training.making import finish, make_trainee, write_checkpoint
from s2sw.model.training.recipes import Recipe
from s2sw.model.training.state import Curve, State
from s2sw.model.training.store import FeatureStore
from s2sw.model.training.trainees import How
from s2sw.model.training.visual import FrozenTower
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.openclip import read_named
from s2sw.pipeline.training.visual_pass import Reading, visual_pass

CHECKPOINT = "checkpoint.safetensors"
GPU_BATCH = 16


@dataclass(frozen=True)
class TrainSettings:
    """What a training is told. holdout: share of the pictures; patience: epochs without improvement."""

    detector: str
    recipe: Recipe
    seed: int = 0
    holdout: float = 0.0
    patience: int | None = None
    device: str = "cpu"
    precision: Precision = "fp32"
    taps: str = "released"
    start: Path | None = None


@dataclass(frozen=True)
class Watching:
    """How a caller follows: a bar for the visual pass and one for the epochs."""

    reading: Callable[[int], AbstractContextManager[Callable[[], None]]]
    training: Callable[[int, int], AbstractContextManager[Callable[[State, Curve], None]]]


@dataclass(frozen=True)
class Inputs:
    """What a training is made from, by name: data set and split, CLIP weights and their activation."""

    data: str
    split: str
    clip: str
    activation: str | None = None


def train_named(
    inputs: Inputs,
    out: Path,
    work: Path,
    settings: TrainSettings,
    watching: Watching,
    features: Path | None = None,
) -> State:
    """Open the data set, read the weights, and train as ``train_bundle`` does."""
    new_folder(out)
    data = open_dataset(inputs.data, split=inputs.split)
    clip = read_named(inputs.clip, inputs.activation)
    return train_bundle(data, clip, out, work, settings, watching, features)


def train_bundle(
    data: DataSet,
    clip: ClipWeights,
    out: Path,
    work: Path,
    settings: TrainSettings,
    watching: Watching,
    features: Path | None = None,
) -> State:
    """Train and write the bundle. The same call again goes on where it was killed.

    work: folder of the state, the learning curve and the checkpoint, and of the features if they have none of
    their own; new folders are readable by their owner only. Raises BundleError and DataSetError.
    """
    if settings.precision == "int8":
        raise BundleError("precision: int8 is for screening alone; train with fp32 or bf16")
    new_folder(out)
    recipe, device = settings.recipe, torch.device(settings.device)
    settings = replace(settings, precision=usable(settings.precision, device))
    trainee = make_trainee(
        settings.detector,
        clip,
        recipe,
        How(device, settings.precision),
        names=[name for name, _ in data.groups()],
        seed=settings.seed,
        taps=settings.taps,
        start=settings.start,
    )
    features = features or work / "features"
    for folder in (work, features):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = FeatureStore(features)
    tower = FrozenTower(clip, recipe.image_size, trainee.use, settings.device, settings.precision)
    with watching.reading(len(data.samples)) as step:
        reading = Reading(batch=1 if device.type == "cpu" else GPU_BATCH, step=step)
        items = visual_pass(data, tower, store, reading)
    key = training_key(items, tower.key, clip, settings)
    del tower
    train, rest = held_out(items, settings.holdout, settings.seed)
    plan = Plan(
        recipe.epochs,
        recipe.batch,
        recipe.image_size,
        settings.seed,
        device,
        settings.patience,
        recipe.learning_rate,
    )
    training = Training(trainee, plan, store, train, rest, work, key)
    with watching.training(recipe.epochs, plan.steps(len(train))) as follow:
        state = training.run(follow)
    write_checkpoint(trainee, work / CHECKPOINT)
    finish(trainee, out, clip, settings.detector, recipe.screen_size)
    return state


def training_key(items: list[Item], tower: str, clip: ClipWeights, settings: TrainSettings) -> str:
    """Return a name for all that a training's result depends on."""
    digest = hashlib.sha256(tower.encode())
    text = {name: t for name, t in clip.tensors.items() if not name.startswith("visual.")}
    for name, tensor in sorted(text.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    start = settings.start.read_bytes() if settings.start else b""
    described: dict[str, Any] = {"start": hashlib.sha256(start).hexdigest(), "clip": repr(clip.text)}
    described["settings"] = repr(replace(settings, start=None, device=""))
    digest.update(json.dumps(described, sort_keys=True).encode())
    for item in items:
        digest.update(f"{item.key} {item.group} {item.anomalous}".encode())
        digest.update(item.mask.tobytes() if item.mask is not None else b"")
    return digest.hexdigest()
