"""The maps in the losses of AnomalyCLIP and APRIL-GAN are those of inference."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from s2sw.model import load_detector
from s2sw.model.training import april_gan
from s2sw.model.training.data import Item, batch_of, packed
from s2sw.model.training.making import finish, make_trainee
from s2sw.model.training.recipes import Recipe
from s2sw.model.training.store import FeatureStore
from s2sw.model.training.trainees import Batch, How
from s2sw.model.training.visual import FrozenTower
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import small_clip

SIDE = small_clip.PATCH * 5
RECIPE = Recipe(1, 4, SIDE, SIDE, contexts=3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8))


@pytest.mark.parametrize("detector", ["anomalyclip", "april_gan"])
def test_maps_of_the_loss(
    detector: str, pictures: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_from_tensors(small_clip.state_dict(), "small.pt", LoadOptions("quick_gelu"))
    trainee = make_trainee(detector, clip, RECIPE, How(CPU), names=["bolt"], seed=1)
    tower = FrozenTower(clip, SIDE, trainee.use)
    store = FeatureStore(tmp_path)
    for number, picture in enumerate(pictures):
        store.put(str(number), tower.encode(picture[None]))
    masks = [np.zeros((SIDE, SIDE), dtype=bool), np.eye(SIDE, dtype=bool)]
    items = [Item(str(n), "bolt", n == 1, packed(mask)) for n, mask in enumerate(masks)]
    batch: Batch = batch_of(items, store, SIDE, CPU)
    assert torch.equal(batch.masks, torch.from_numpy(np.stack(masks)).float())
    seen: list[torch.Tensor] = []
    module = (
        april_gan if detector == "april_gan" else __import__("s2sw.model.training.losses", fromlist=["focal"])
    )
    focal = module.focal
    monkeypatch.setattr(module, "focal", lambda maps, masks: seen.append(maps[:, 1]) or focal(maps, masks))
    trainee.losses(batch, None)  # type: ignore[arg-type]
    loaded = load_detector(finish(trainee, tmp_path / "bundle", clip, detector, SIDE))
    if detector == "anomalyclip":
        loaded.smooth = False  # type: ignore[attr-defined]
    expected = loaded.full_map(loaded.detect(pictures).token_map)
    torch.testing.assert_close(torch.stack(seen).mean(dim=0).detach(), expected, atol=1e-5, rtol=0)


def test_features_are_the_detectors_own(pictures: torch.Tensor, tmp_path: Path) -> None:
    """What the pass keeps is what the detector's encode_image gives, picture by picture."""
    clip = clip_from_tensors(small_clip.state_dict(), "small.pt", LoadOptions("quick_gelu"))
    for detector in ("s2swclip", "april_gan"):
        trainee = make_trainee(detector, clip, RECIPE, How(CPU), names=["bolt"], seed=1)
        kept = FrozenTower(clip, SIDE, trainee.use).encode(pictures)
        loaded = load_detector(finish(trainee, tmp_path / detector, clip, detector, SIDE))
        image, taps = loaded.encode_image(loaded.prepare(pictures))  # type: ignore[attr-defined]
        kept = replace(kept, image=functional.normalize(kept.image, dim=-1))
        torch.testing.assert_close(kept.image, functional.normalize(image, dim=-1))
        for one, other in zip(kept.taps, taps, strict=True):
            torch.testing.assert_close(one, other)
