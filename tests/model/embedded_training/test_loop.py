"""Training the embedded detector: it repeats, it continues, and what it writes is the detector."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from s2sw.model import load_detector
from s2sw.model.detectors.embedded import bundle_of
from s2sw.model.embedded_training.calibration import no_calibration
from s2sw.model.embedded_training.check import Check
from s2sw.model.embedded_training.loop import Trainer
from s2sw.model.embedded_training.making import average
from s2sw.model.embedded_training.net import EmbeddedNet
from s2sw.model.embedded_training.objective import loss
from s2sw.model.embedded_training.pictures import QUICK, draw_scenes, seen_by
from s2sw.model.embedded_training.recipe import Recipe, members
from s2sw.model.embedded_training.ring import BLOCK, Plan, Ring, Worker
from s2sw.model.errors import BundleError
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.synthetic.scenes import held_out_mixture
from s2sw.model.towers.shapes import Dinov2Shape, StemShape
from s2sw.model.towers.stem import Stem
from s2sw.model.weights.int8 import packed
from s2sw.model.weights.shipped import frozen_stem

SHORT = Recipe(seed=3, pictures=32, passes=1.0, batch=8, slots=256, ahead=32, warmup=2, check_every=2)
"""Four steps."""
SMALL = StemShape(Dinov2Shape(64, 2, 1, 14, 25, 0), (1, 2), 8)


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def stem_file(tmp_path_factory):
    """A small stem with weights from a seed: training is the same over any."""
    stem, generator = Stem(SMALL), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in stem.named_parameters():
            parameter.normal_(1 if ".ln_" in name else 0, 0.1, generator=generator)
    path = tmp_path_factory.mktemp("stem") / "stem.safetensors"
    save_file(packed(stem.state_dict()), path)
    return path


@pytest.fixture(scope="module")
def stem(stem_file):
    return frozen_stem(stem_file, PICTURE, QUICK)


@pytest.fixture(scope="module")
def check(stem):
    return Check(stem, seed=3, pictures=8)


@pytest.fixture
def trainer(tmp_path, stem_file):
    def make(name, recipe=SHORT, say=lambda line: None, start=None, pictures=None):
        return Trainer(tmp_path / name, recipe, 1, say, stem_file, start, pictures)

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


def test_what_is_exported_computes_what_was_trained(trainer, stem, stem_file, tmp_path):
    """The detector in float32, from half-precision storage, against the training path in bfloat16."""
    made = trainer("new")
    made._save(no_calibration())
    head = load_file(tmp_path / "new" / "embedded.safetensors")
    detector = load_detector(bundle_of(load_file(stem_file), head, tmp_path / "b"))
    scenes = draw_scenes(np.random.default_rng(0), held_out_mixture(), 8)
    with torch.inference_mode():
        seen = made.averaged(seen_by(stem, scenes))
    out = detector.detect(np.stack([scene.picture for scene in scenes]))
    families = seen.image.softmax(dim=-1)[..., 1].T
    torch.testing.assert_close(out.family_scores[:, :4], families, atol=0.05, rtol=0.0)
    assert float((out.token_map - seen.map.reshape(-1, 25, 25)).abs().mean()) < 0.02
    mean = torch.sigmoid(torch.logit(out.family_scores).mean(dim=1))
    torch.testing.assert_close(out.score, mean, atol=1e-3, rtol=0.0)


def test_a_run_can_start_from_trained_weights(trainer, tmp_path):
    first = trainer("first")
    first._save(no_calibration())
    start = tmp_path / "first" / "embedded.safetensors"
    again = trainer("again", recipe=replace(SHORT, seed=5), start=start)
    torch.testing.assert_close(again.net.tower.conv1.weight, first.net.tower.conv1.weight, atol=1e-3, rtol=0)


def test_pictures_that_are_there_are_not_made_again(tmp_path):
    def ring():
        return Ring(tmp_path, slots=64, patches=4, features=3)

    class NoStem:
        def features(self, x):
            raise StopError

    for number in range(2):
        ring().write(number, torch.full((BLOCK, 4, 3), float(number)), np.zeros((BLOCK, 75, 75), np.uint8))
    assert [ring().holds(number) for number in range(4)] == [True, True, False, False]
    done, limit = multiprocessing.Array("q", [0]), multiprocessing.Value("q", 64)
    worker = Worker(Plan(3, 64, 0.2), 0, 1, ring, NoStem)
    worker.work(done, limit, 0)
    assert done[0] == 2
    ring().write(2, torch.zeros(BLOCK, 4, 3), np.zeros((BLOCK, 75, 75), np.uint8))  # in the place of 0
    with pytest.raises(StopError):
        worker.work(done, limit, 0)


def test_runs_are_averaged_and_calibrated_together(trainer, stem, check, tmp_path):
    files = [tmp_path / name / "embedded.safetensors" for name in ("one", "two")]
    for file, shift in zip(files, (0.0, 0.5), strict=True):
        made = trainer(file.parent.name)
        made.averaged.tower.conv1.weight += shift
        made._save(no_calibration())
    lines = []
    both = load_file(average(files, stem.shape, check, tmp_path / "both.safetensors", lines.append))
    one, two = (load_file(file) for file in files)
    name = "visual.conv1.weight"
    torch.testing.assert_close(
        both[name].float(), (one[name].float() + two[name].float()) / 2, atol=1e-3, rtol=0
    )
    assert both.keys() == one.keys()
    assert not torch.equal(both["calibration.image"], one["calibration.image"])
    assert lines[0].startswith("held out, average: new_image ")


def test_runs_over_the_same_pictures_share_them(trainer, check, tmp_path):
    """The second makes no block again: it reads what is there, here blanked to tell."""
    shared = tmp_path / "shared"
    trainer("one", pictures=shared).run(check)
    assert {path.name for path in shared.iterdir()} == {"features.bin", "masks.bin", "blocks.bin"}
    features = np.memmap(shared / "features.bin", np.float16, "r+")
    assert features.any()
    features[:] = 0
    features.flush()
    trainer("two", pictures=shared).run(check)
    assert not features.any()


def test_the_runs_that_are_averaged_start_alike_and_grow_harder_over_equally_many_pictures():
    recipe = Recipe()
    several = members(recipe)
    assert several[0] == recipe
    assert len({member.seed for member in several}) == 1
    assert {member.pictures * member.ramp for member in several} == {recipe.pictures * recipe.ramp}
    with_photographs = [member for member in several if member.photographs]
    assert len({(m.pictures, m.ramp) for m in with_photographs}) == 1  # so they share their pictures


def test_what_is_kept_lies_between_the_first_and_the_trained_weights(trainer):
    made = trainer("blended", recipe=replace(SHORT, blend=0.25))
    before = made.averaged.vectors.clone()
    made.averaged.vectors += 1.0
    torch.testing.assert_close(made.kept().vectors, before + 0.25)
    torch.testing.assert_close(made.averaged.vectors, before + 1.0)


def test_gradients_reach_every_parameter(stem):
    net = EmbeddedNet(stem.shape)
    net.start(0)
    scenes = draw_scenes(np.random.default_rng(1), held_out_mixture(), 4)
    masks = torch.stack([torch.from_numpy(s.mask).float()[:225:3, :225:3] for s in scenes])
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
