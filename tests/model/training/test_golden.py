"""A step of S2SWCLIP's trainee is the released program's: losses and gradients of a golden case."""

from dataclasses import replace

import pytest
import torch

from s2sw.model import build_bundle, load_detector
from s2sw.model.prompts.learned import read_prompts
from s2sw.model.training.prompt_learning import S2swClipTrainee, s2swclip_trainee
from s2sw.model.training.recipes import RECIPES
from s2sw.model.training.trainees import ANOMALOUS, DEEP, NORMAL, Batch, How
from s2sw.model.training.visual import Features
from tests.support.golden import Golden, golden

RELATIVE = 1e-3


@pytest.fixture(scope="module")
def step(tmp_path_factory) -> tuple[Golden, S2swClipTrainee, Batch]:
    case = golden("a")
    folder = tmp_path_factory.mktemp("golden") / "bundle"
    built = build_bundle(folder, clip=case.clip, prompts=case.prompts, image_size=case.meta["size"])
    image, taps = load_detector(built).encode_image(case.images)
    masks, labels = (torch.from_numpy(case.arrays[name]) for name in ("train_mask", "train_label"))
    batch = Batch(
        Features(image.clone(), tuple(tap.clone() for tap in taps)), masks, labels, ["x"] * len(image)
    )
    recipe = replace(RECIPES["s2swclip"]["mvtec"], pair=0.0, screen_size=case.meta["size"])
    start = read_prompts(case.prompts, case.meta["width"])
    return case, s2swclip_trainee(case.clip, recipe, start, How(torch.device("cpu"))), batch


class NoDraw:
    """The released step was recorded without pairs."""

    def random(self) -> float:
        return 1.0

    def randrange(self, start: int, stop: int) -> int:
        return start


def test_step(step) -> None:
    case, trainee, batch = step
    losses = trainee.losses(batch, NoDraw())
    losses["total"].backward()

    def relative(key: str, found: torch.Tensor) -> float:
        expected = torch.from_numpy(case.arrays[key])
        return float((found.detach().reshape(expected.shape) - expected).norm() / expected.norm())

    assert relative("loss_pixel_object", losses["pixel_object"]) < RELATIVE
    assert relative("loss_pixel_state", losses["pixel_state"]) < RELATIVE
    assert relative("loss_total_without_random_pair", losses["total"]) < RELATIVE
    assert relative("grad_ctx_normal", trainee.parameters[NORMAL].grad) < RELATIVE
    assert relative("grad_ctx_anomalous", trainee.parameters[ANOMALOUS].grad) < RELATIVE
    assert relative("grad_deep_prompt_0", trainee.parameters[f"{DEEP}0"].grad) < RELATIVE
