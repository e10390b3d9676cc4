"""One training step against what the released program computes: losses, and gradients of the prompts."""

from dataclasses import replace

import pytest
import torch

from s2sw.model import build_bundle, load_detector
from s2sw.model.heads.fusion import FAMILIES, class_vectors
from s2sw.model.prompts.learned import LearnedPrompts, read_prompts
from s2sw.model.training.losses import Losses, dice, focal, pair_loss, step_losses
from tests.support.golden import Golden, golden

RELATIVE = 1e-3
OBJECT_WEIGHT = 0.001
TAPS = 4


@pytest.fixture(scope="module", params=["a", "b"])
def step(request, tmp_path_factory) -> tuple[Golden, LearnedPrompts, Losses]:
    case = golden(request.param)
    folder = tmp_path_factory.mktemp("losses") / "bundle"
    detector = load_detector(
        build_bundle(folder, clip=case.clip, prompts=case.prompts, image_size=case.meta["size"])
    )
    feature, (patches,) = detector.encode_image(case.images)
    prompts = read_prompts(case.prompts, case.meta["width"])
    learned = replace(
        prompts,
        normal=prompts.normal.clone().requires_grad_(),
        anomalous=prompts.anomalous.clone().requires_grad_(),
        deep=tuple(matrix.clone().requires_grad_() for matrix in prompts.deep),
    )
    text = learned_features(case, learned)
    vectors = class_vectors(text["state"], text["object"], text["defect"])
    masks, labels = (torch.from_numpy(case.arrays[name]) for name in ("train_mask", "train_label"))
    losses = step_losses(feature.clone(), [patches.clone()] * TAPS, vectors, masks, labels)
    losses.total(OBJECT_WEIGHT).backward()
    return case, learned, losses


def learned_features(case: Golden, prompts: LearnedPrompts) -> dict[str, torch.Tensor]:
    """Text features with the contexts that take part in the graph."""
    tower = case.clip.text_tower().requires_grad_(False)
    return replace(prompts, embedded={}).features(tower)


def relative(case: Golden, key: str, found: torch.Tensor) -> float:
    expected = torch.from_numpy(case.arrays[key])
    return float((found.detach().reshape(expected.shape) - expected).norm() / expected.norm())


def test_losses(step):
    case, _, losses = step
    recorded = losses.image[[FAMILIES.index(name) for name in ("object", "state", "fused", "defect")]]
    assert relative(case, "loss_image", recorded) < RELATIVE
    assert relative(case, "loss_pixel_object", losses.pixel_object) < RELATIVE
    assert relative(case, "loss_pixel_state", losses.pixel_state) < RELATIVE
    assert relative(case, "loss_total_without_random_pair", losses.total(OBJECT_WEIGHT)) < RELATIVE


def test_gradients_of_the_prompts(step):
    case, learned, _ = step
    assert relative(case, "grad_ctx_normal", learned.normal.grad) < RELATIVE
    assert relative(case, "grad_ctx_anomalous", learned.anomalous.grad) < RELATIVE
    assert relative(case, "grad_deep_prompt_0", learned.deep[0].grad) < RELATIVE


def test_a_perfect_map_costs_nothing():
    masks = (torch.arange(64).reshape(1, 8, 8) > 40).float()
    maps = torch.stack([1 - masks, masks], dim=1)
    assert float(focal(maps, masks)) < 1e-6
    assert float(dice(masks, masks)) < 1e-6
    assert float(focal(1 - maps, masks)) > 10
    assert float(dice(1 - masks, masks)) > 0.9


def test_pair_loss_draws_equal_labels_together_and_parts_the_others():
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.4], [0.0, 3.0]])
    labels = torch.tensor([1, 1, 0])
    assert float(pair_loss(logits, labels, 0, 1)) == pytest.approx(0.5 * 0.4**2)
    assert float(pair_loss(logits, labels, 0, 2)) == pytest.approx(0.5 * (1 - 2.0) ** 2)
