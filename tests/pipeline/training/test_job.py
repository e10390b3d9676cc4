"""From pictures to a bundle: losses fall, a kill changes nothing, one seed gives one bundle."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from s2sw.connectors.datasets import DataSet, DataSetError, Sample
from s2sw.model import build_bundle, load_detector
from s2sw.model.errors import BundleError
from s2sw.model.training import loop
from s2sw.model.training.state import Curve, State
from s2sw.model.weights.clip import ClipWeights
from s2sw.pipeline.training.job import CHECKPOINT, Watching, train_bundle
from tests.support.training_pictures import QUIET, RECIPE, SIDE, data_set, settings


def losses(state: State) -> list[float]:
    return [row["total"] for row in state.curve]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("detector", ["s2swclip", "anomalyclip", "april_gan", "adaptclip"])
def test_learns_and_leaves_a_bundle_that_screens(
    detector: str, clip: ClipWeights, data: DataSet, tmp_path: Path
) -> None:
    out, work = tmp_path / "bundle", tmp_path / "work"
    state = train_bundle(data, clip, out, work, settings(detector), QUIET)
    assert len(state.curve) == RECIPE.epochs
    assert losses(state)[-1] < 0.98 * losses(state)[0]
    assert (work / loop.CURVE).read_text().splitlines()[0].startswith("epoch,total,")
    loaded = load_detector(out)
    assert (loaded.name, loaded.image_size, loaded.trained) == (detector, SIDE, True)
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 50, 3), dtype=np.uint8)
    found = loaded.detect(images)
    assert torch.isfinite(found.token_map).all()
    key = {"april_gan": "linear", "adaptclip": "checkpoint"}.get(detector, "prompts")
    more = {"class_name": "bolt"} if detector == "april_gan" else {}
    again = build_bundle(
        tmp_path / "again", clip, image_size=SIDE, detector=detector, **{key: work / CHECKPOINT}, **more
    )
    assert (again / "weights.safetensors").read_bytes() == (out / "weights.safetensors").read_bytes()
    begun = replace(settings(detector, start=work / CHECKPOINT), recipe=replace(RECIPE, epochs=1))
    continued = train_bundle(data, clip, tmp_path / "more", tmp_path / "work2", begun, QUIET)
    assert losses(continued)[0] < losses(state)[0]


def test_one_seed_gives_one_bundle(clip: ClipWeights, data: DataSet, tmp_path: Path) -> None:
    def trained(name: str, seed: int) -> dict[str, bytes]:
        out = tmp_path / name
        train_bundle(data, clip, out, tmp_path / f"{name}.w", settings(seed=seed), QUIET, tmp_path / "f")
        return content(out)

    first = trained("a", 0)
    assert first == trained("b", 0)
    assert first["weights.safetensors"] != trained("c", 1)["weights.safetensors"]


class Killed(BaseException):
    """What ends a process in these tests."""


def killed_after(steps: int) -> Watching:
    @contextmanager
    def training(epochs: int, each: int) -> Iterator[Callable[[State, Curve], None]]:
        def follow(state: State, means: Curve) -> None:
            if state.epoch * each + state.step > steps:
                raise Killed

        yield follow

    return replace(QUIET, training=training)


@pytest.mark.parametrize(
    ("detector", "precision"), [("s2swclip", "fp32"), ("s2swclip", "bf16"), ("adaptclip", "fp32")]
)
def test_going_on_after_kills_equals_an_undisturbed_training(
    detector: str,
    precision: str,
    clip: ClipWeights,
    data: DataSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = settings(detector, precision=precision, holdout=0.25)
    whole = train_bundle(data, clip, tmp_path / "whole", tmp_path / "w", given, QUIET)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)  # after every step
    for steps in (1, 4, 5):
        with pytest.raises(Killed):
            train_bundle(data, clip, tmp_path / "cut", tmp_path / "c", given, killed_after(steps))
        assert not (tmp_path / "cut").exists()
    cut = train_bundle(data, clip, tmp_path / "cut", tmp_path / "c", given, QUIET)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")
    without = [[{**row, "seconds": 0.0} for row in state.curve] for state in (cut, whole)]
    assert without[0] == without[1]


def test_int8_is_for_screening(clip: ClipWeights, data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="precision: int8"):
        train_bundle(
            data, clip, tmp_path / "b", tmp_path / "w", settings("s2swclip", precision="int8"), QUIET
        )
    assert not (tmp_path / "b").exists()


def test_pictures_pass_the_tower_once(clip: ClipWeights, tmp_path: Path) -> None:
    data = data_set(tmp_path / "parts", count=2)
    features = tmp_path / "features"

    def files() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in features.rglob("*.safetensors")}

    def train(name: str, samples: list[Sample], seed: int) -> None:
        chosen = DataSet(data.name, samples)
        train_bundle(
            chosen, clip, tmp_path / name, tmp_path / f"{name}.w", settings(seed=seed), QUIET, features
        )

    train("first", data.samples[1:], 0)
    before = files()
    assert len(before) == 3
    assert {folder.stat().st_mode & 0o077 for folder in (features, tmp_path / "first.w")} == {0}
    train("second", data.samples, 1)
    after = files()
    assert len(after) == 4
    assert before.items() <= after.items()


def test_the_best_epoch_on_held_out_pictures_counts(clip: ClipWeights, tmp_path: Path) -> None:
    """A learning rate that is far too high makes it worse: it stops, with the best epoch's prompts."""
    data = data_set(tmp_path / "parts")
    recipe = replace(RECIPE, epochs=40, learning_rate=1.0)
    given = replace(settings(holdout=0.34, patience=2), recipe=recipe)
    state = train_bundle(data, clip, tmp_path / "bundle", tmp_path / "work", given, QUIET)
    held_out = [row[loop.HELD_OUT] for row in state.curve]
    assert len(held_out) < 40
    assert state.best_epoch == int(np.argmin(held_out)) + 1 == len(held_out) - 2
    kept = load_file(tmp_path / "work" / CHECKPOINT)
    assert all(torch.equal(kept[name], value) for name, value in state.best.items())
    assert not all(torch.equal(state.parameters[name], value) for name, value in state.best.items())


def test_data_that_cannot_be_trained_on(clip: ClipWeights, data: DataSet, tmp_path: Path) -> None:
    def train(samples: list[Sample]) -> None:
        train_bundle(DataSet("d", samples), clip, tmp_path / "b", tmp_path / "w", settings(), QUIET)

    normal = [sample for sample in data.samples if not sample.anomalous]
    with pytest.raises(DataSetError, match="d: every picture is normal"):
        train(normal)
    with pytest.raises(DataSetError, match=r"bright/0.png: is anomalous and has no mask"):
        train([*normal, replace(data.samples[0], mask=None)])
    anomalous = [sample for sample in data.samples if sample.anomalous]
    with pytest.raises(
        BundleError, match="bolt: no normal picture, which this detector compares others with"
    ):
        train_bundle(
            DataSet("d", anomalous), clip, tmp_path / "b", tmp_path / "w", settings("adaptclip"), QUIET
        )


def test_a_folder_of_another_training_and_damage(clip: ClipWeights, data: DataSet, tmp_path: Path) -> None:
    work = tmp_path / "work"
    short = replace(settings(), recipe=replace(RECIPE, epochs=1))
    train_bundle(data, clip, tmp_path / "a", work, short, QUIET)
    with pytest.raises(BundleError, match=r"state.pt: was left by a training with other data"):
        train_bundle(data, clip, tmp_path / "b", work, replace(short, seed=1), QUIET)
    with pytest.raises(BundleError, match="exists and is not empty"):
        train_bundle(data, clip, tmp_path / "a", work, short, QUIET)
    (work / "state.pt").write_bytes(b"half")
    with pytest.raises(BundleError, match=r"state.pt: cannot be read .* remove it to start again"):
        train_bundle(data, clip, tmp_path / "b", work, short, QUIET)
    (work / "state.pt").unlink()
    damaged = next((work / "features").rglob("*.safetensors"))
    damaged.write_bytes(b"half")
    with pytest.raises(BundleError, match=r"safetensors: cannot be read .* remove it and train again"):
        train_bundle(data, clip, tmp_path / "b", work, short, QUIET)
