"""AdaptCLIP's trainee: its gradients, what it leaves alone, and that it computes what the detector does."""

import random

import pytest
import torch
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.errors import BundleError
from s2sw.model.training import adaptclip
from s2sw.model.training.data import Item, another, normal_items
from s2sw.model.training.losses import dice, focal
from s2sw.model.training.making import make_trainee, write_checkpoint
from s2sw.model.training.recipes import RECIPES, recipe_of
from s2sw.model.training.trainees import Batch, How
from s2sw.model.training.visual import Features
from s2sw.model.weights.adaptclip import read_adaptclip
from tests.support import checkpoints, small_clip
from tests.support.family import clip as small
from tests.support.family import random as noise

GRID = 4
SIDE = small_clip.PATCH * GRID
HOW = How(torch.device("cpu"))


@pytest.fixture(scope="module")
def of():
    return small()


@pytest.fixture(scope="module")
def checkpoint(of, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "epoch.pth"
    return checkpoints.saved(checkpoints.adaptclip(of), path)


@pytest.fixture(scope="module")
def detector(of, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "b"
    normal = noise(1, 3, SIDE, SIDE, seed=8)
    made = build_bundle(
        folder, of, detector="adaptclip", checkpoint=checkpoint, image_size=SIDE, references=normal
    )
    return load_detector(made)


def features(detector, x):
    image, taps = detector.encode_image(x)
    return Features(image.clone(), tuple(tap.clone() for tap in taps))


@pytest.fixture(scope="module")
def batch(detector):
    """Two pictures, one of them anomalous, each beside the picture that the detector remembers."""
    seen, beside = (
        features(detector, noise(count, 3, SIDE, SIDE, seed=seed)) for count, seed in ((2, 3), (1, 8))
    )
    beside = Features(beside.image.expand(2, -1), tuple(tap.expand(2, -1, -1) for tap in beside.taps))
    masks = torch.zeros(2, SIDE, SIDE)
    masks[1, 5:20, 8:30] = 1
    return Batch(seen, masks, torch.tensor([0.0, 1.0]), ["x", "x"], beside)


def trainee_of(of, checkpoint):
    return make_trainee(
        "adaptclip", of, RECIPES["adaptclip"]["visa"], HOW, names=["x"], seed=0, start=checkpoint
    )


@torch.no_grad()
def test_without_gradients_it_is_the_detector(of, checkpoint, detector, batch):
    trainee = trainee_of(of, checkpoint)
    found = trainee.learners()
    images, maps = trainee._branches(found, batch)
    more_images, more_maps = trainee._comparison(found, batch)
    out = detector.detect_normalized(noise(2, 3, SIDE, SIDE, seed=3))
    visual, textual = (logits.softmax(dim=-1)[:, 1] for logits in images)
    query = torch.stack([logits.softmax(dim=-1)[:, 1] for logits in more_images]).mean(dim=0)
    torch.testing.assert_close(torch.stack([visual, textual, query], dim=1), out.family_scores[:, :3])
    taps = [tap[:, :] for tap in detector.streams(noise(2, 3, SIDE, SIDE, seed=3)).taps]
    _, grid, _ = detector.prompt_query(taps, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(torch.stack(more_maps)[:, :, 1].mean(dim=0), grid)
    assert [m.shape[-1] for m in maps] == [GRID, GRID]


def test_losses_are_cross_entropy_focal_and_dice_of_everything(of, checkpoint, batch):
    trainee = trainee_of(of, checkpoint)
    with torch.no_grad():
        found = trainee.losses(batch, random.Random(0))
        learners = trainee.learners()
        branches, comparison = trainee._branches(learners, batch), trainee._comparison(learners, batch)
    labels = torch.tensor([0, 1])
    images, maps = ([*a, *b] for a, b in zip(branches, comparison, strict=True))
    assert (len(images), len(maps)) == (6, 6)
    image = sum(functional.cross_entropy(one, labels) for one in images)
    up = [functional.interpolate(m, size=SIDE, mode="bilinear", align_corners=False) for m in maps]
    focals = sum(focal(one, batch.masks) for one in up)
    dices = sum(dice(one[:, 1], batch.masks) + dice(one[:, 0], 1 - batch.masks) for one in up)
    expected = {"image": image, "focal": focals, "dice": dices, "total": image + focals + dices}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def doubled(trainee, batch):
    """Everything in float64, so that differences of losses are exact enough."""
    trainee.tower.double()
    trainee.static = trainee.static.double()
    for named in (trainee.buffers, trainee.words):
        named.update({name: tensor.double() for name, tensor in named.items()})
    trainee.parameters = {n: p.detach().double().requires_grad_() for n, p in trainee.parameters.items()}
    seen, beside = (
        Features(f.image.double(), tuple(tap.double() for tap in f.taps))
        for f in (batch.features, batch.beside)
    )
    return Batch(seen, batch.masks.double(), batch.labels, batch.classes, beside)


PARAMETERS = (
    "textual_learner.ctx_pos", "textual_learner.ctx_neg",
    "visual_learner.local_adater.fc.0.weight", "visual_learner.local_adater.fc.1.weight",
    "visual_learner.global_adapter.fc.1.bias", "visual_learner.global_adapter.fc.3.weight",
    "pq_learner.sharebn.0.weight", "pq_learner.sharebn.3.bias",
    "pq_learner.local_adapter.0.0.weight", "pq_learner.local_adapter.0.3.weight",
    "pq_learner.local_adapter.0.5.bias", "pq_learner.local_adapter.0.8.bias",
    "pq_learner.global_adapter.0.0.weight", "pq_learner.global_adapter.0.6.weight",
)  # fmt: skip


def test_gradients_are_those_of_finite_differences(of, checkpoint, batch):
    """A step along a random direction of each parameter changes the total loss as its gradient says.

    The step is so short that hardly a unit's rectifier changes over.
    """
    trainee = trainee_of(of, checkpoint)
    exact = doubled(trainee, batch)
    trainee.losses(exact, random.Random(0))["total"].backward()
    assert set(trainee.parameters) >= set(PARAMETERS)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trainee.parameters.values())
    generator, step = torch.Generator().manual_seed(1), 1e-7
    for name in PARAMETERS:
        parameter = trainee.parameters[name]
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
            losses.append(float(trainee.losses(exact, random.Random(0))["total"].detach()))
            with torch.no_grad():
                parameter -= sign * step * direction
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(float((parameter.grad * direction).sum()), rel=1e-4, abs=1e-6), name


def test_statistics_follow_batches_with_gradients_alone(of, checkpoint, batch):
    trainee = trainee_of(of, checkpoint)
    before = {name: value.clone() for name, value in trainee.buffers.items()}
    with torch.no_grad():
        trainee.losses(batch, random.Random(0))
    assert all(torch.equal(before[name], value) for name, value in trainee.buffers.items())
    trainee.losses(batch, random.Random(0))
    assert all(not torch.equal(before[name], value) for name, value in trainee.buffers.items())


def test_what_is_left_is_the_released_form(of, tmp_path):
    """Keys and shapes of a released checkpoint, read back to the very same learners."""
    trainee = make_trainee("adaptclip", of, RECIPES["adaptclip"]["mvtec"], HOW, names=["x"], seed=3)
    write_checkpoint(trainee, tmp_path / "checkpoint.safetensors")
    again = read_adaptclip(tmp_path / "checkpoint.safetensors", of.text, of.vision.embed_dim)
    first = trainee.learners()
    for part in ("textual", "visual", "query"):
        ours, theirs = getattr(first, part), getattr(again, part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    expected = checkpoints.adaptclip(of, contexts=12, hidden=small_clip.JOINT // 4, wide=128)
    shapes = {f"{part}.{n}": tuple(t.shape) for part, own in expected.items() for n, t in own.items()}
    assert {n: tuple(t.shape) for n, t in trainee.checkpoint().items()} == shapes


def test_one_seed_draws_one_start(of):
    first, again, other = (adaptclip.drawn(of, 4, seed).query for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["local_adapter.0.0.weight"], other["local_adapter.0.0.weight"])


def test_another_picture_is_drawn_where_there_is_one():
    items = [Item(str(n), "nut", n > 2, None) for n in range(4)]
    assert [item.key for item in normal_items(items)["nut"]] == ["0", "1", "2"]
    draw = random.Random(0)
    assert {another(items, items[1], draw).key for _ in range(99)} == {"0", "2", "3"}
    assert another(items[:1], items[0], draw) is items[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "af_clip",
            r"'af_clip' cannot be trained \(its patch alignment loss is not specified here\); .* can",
        ),
        ("aa_clip", r"'aa_clip' cannot be trained \(its losses are not specified"),
        ("nobody", "'nobody' cannot be trained; s2swclip, anomalyclip, april_gan, adaptclip can"),
    ],
)
def test_what_is_not_trained_says_why(name, message):
    with pytest.raises(BundleError, match=message):
        recipe_of(name, "mvtec")
