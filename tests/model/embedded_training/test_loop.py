"""Training the embedded detector: it repeats, it continues, and what it writes is the detector."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from s2sw.model import load_detector
from s2sw.model.detectors.embedded import bundle_of
from s2sw.model.embedded_training.check import Check
from s2sw.model.embedded_training.filling import STEM
from s2sw.model.embedded_training.loop import Trainer
from s2sw.model.embedded_training.net import EmbeddedNet, fresh_stem, stem_of
from s2sw.model.embedded_training.recipe import Recipe
from s2sw.model.embedded_training.ring import draw_scenes, seen_by
from s2sw.model.errors import BundleError
from s2sw.model.synthetic.scenes import held_out_mixture

SHORT = Recipe(seed=3, pictures=64, passes=0.5, batch=8, slots=256, ahead=32, warmup=2, check_every=2)
"""Four steps."""


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def stem():
    return fresh_stem()


@pytest.fixture(scope="module")
def check(stem):
    return Check(stem, seed=3, pictures=32)


@pytest.fixture
def trainer(tmp_path, stem):
    def make(name, recipe=SHORT, say=lambda line: None):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        torch.save(stem.state_dict(), folder / STEM)  # finding the features' range takes long
        return Trainer(folder, recipe, 1, say)

    return make


def test_stopped_and_continued_is_the_same_as_in_one_go(trainer, check):
    whole = load_file(trainer("whole").run(check))

    def stop(line):
        if line.startswith("held out, step 4"):
            raise StopError

    with pytest.raises(StopError):
        trainer("stopped", say=stop).run(check)
    again = trainer("stopped")
    assert again.step == 2
    continued = load_file(again.run(check))
    assert whole.keys() == continued.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(continued[name], tensor, atol=2e-3, rtol=0.0)
    with pytest.raises(BundleError, match=r"batch was 8, 16 given"):
        trainer("stopped", recipe=replace(SHORT, batch=16))


def test_what_is_exported_computes_what_was_trained(trainer, stem, tmp_path):
    """The detector in float32, from half-precision storage, against the training path in bfloat16."""
    made = trainer("new")
    made._save()
    detector = load_detector(bundle_of(load_file(tmp_path / "new" / "embedded.safetensors"), tmp_path / "b"))
    scenes = draw_scenes(np.random.default_rng(0), held_out_mixture(), 8)
    with torch.inference_mode():
        seen = made.averaged(seen_by(stem, scenes))
    out = detector.detect(np.stack([scene.picture for scene in scenes]))
    torch.testing.assert_close(out.score, seen.score, atol=0.05, rtol=0.0)
    assert float((out.token_map - seen.map.reshape(-1, 15, 15)).abs().mean()) < 0.02


def test_a_start_from_narrower_weights_computes_what_they_did(trainer, stem):
    """Columns for features that the file's network did not have begin at zero."""
    wide = trainer("wide")
    tensors = {f"visual.{name}": tensor for name, tensor in wide.net.tower.state_dict().items()}
    tensors |= {f"visual.stem.{name}": tensor for name, tensor in stem.state_dict().items()}
    kernel = tensors["visual.conv1.weight"].clone()
    tensors |= {"class_vectors": wide.net.class_vectors(), "visual.conv1.weight": kernel[:, :-30]}
    features = torch.randn(2, 225, len(stem.mean), generator=torch.Generator().manual_seed(4))
    net = EmbeddedNet(stem)
    net.start_from(tensors, "narrower")
    kept = torch.ones(1, 1, stem.shape.described)
    kept[..., -30:] = 0
    with torch.inference_mode():
        torch.testing.assert_close(net(features).score, wide.net(features, kept).score)
    assert torch.equal(stem_of(tensors, "narrower").scale, stem.scale)


def test_what_is_kept_lies_between_the_first_and_the_trained_weights(trainer):
    made = trainer("blended", recipe=replace(SHORT, blend=0.25))
    before = made.averaged.vectors.clone()
    made.averaged.vectors += 1.0
    torch.testing.assert_close(made.kept().vectors, before + 0.25)
    torch.testing.assert_close(made.averaged.vectors, before + 1.0)


def test_gradients_reach_every_parameter(stem):
    from s2sw.model.embedded_training.objective import loss

    net = EmbeddedNet(stem)
    net.start(0)
    scenes = draw_scenes(np.random.default_rng(1), held_out_mixture(), 4)
    masks = torch.stack([torch.from_numpy(s.mask).float()[::4, ::4] for s in scenes])
    total, _ = loss(net(seen_by(stem, scenes)), masks)
    total.backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("recipe", [Recipe(), SHORT])
def test_a_step_draws_only_what_is_there(recipe):
    """Neither pictures that are yet to come nor slots that workers may already have written over."""
    for step in range(0, recipe.steps, max(1, recipe.steps // 50)):
        drawn = Trainer.drawn.__get__(_Bare(recipe))(step)
        newest = recipe.ready(step) + recipe.ahead + 32
        assert drawn.max() < recipe.ready(step)
        assert drawn.min() >= max(0, newest - recipe.slots)
        assert (drawn[1::2] == drawn[0::2] + 1).all()
        assert (drawn[0::2] % 2 == 0).all()


class _Bare:
    workers = 1

    def __init__(self, recipe):
        self.recipe = recipe
