"""The stem: read off weights, components and distances of known tokens, and in a tower."""

import json

import pytest
import torch
from torch.nn import functional

from s2sw.model.detectors.bundling import build_bundle
from s2sw.model.errors import BundleError
from s2sw.model.towers.self_similarity import unlike
from s2sw.model.towers.shape_reading import vision_shape
from s2sw.model.towers.shapes import Dinov2Shape, StemShape, VisionShape
from s2sw.model.towers.stem import DISTANCE_SCALE, Stem, describe, relative, stem_shape
from s2sw.model.towers.visual import VisionTower
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import small_clip

SMALL = StemShape(Dinov2Shape(64, 3, 1, 4, 6, 1), (1, 2, 3), 5)


def drawn(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    return module.eval().requires_grad_(False)


@pytest.fixture
def small():
    return drawn(Stem(SMALL))


def test_shape_is_read_off_the_weights(small):
    tensors = {f"visual.stem.{name}": tensor for name, tensor in small.state_dict().items()}
    assert stem_shape(tensors, "visual.stem.", "here") == SMALL
    assert (SMALL.components, SMALL.features, SMALL.described) == (15, 15 + 8, 46)
    assert stem_shape({"visual.proj": torch.zeros(1)}, "visual.stem.", "here") is None
    without = {n: t for n, t in tensors.items() if "directions" not in n}
    with pytest.raises(BundleError, match=r"here: tensors visual\.stem\.directions\.\* are missing"):
        stem_shape(without, "visual.stem.", "here")
    del tensors["visual.stem.backbone.register_tokens"]
    with pytest.raises(BundleError, match=r"here: tensor 'visual\.stem\.backbone\.register_tokens'"):
        stem_shape(tensors, "visual.stem.", "here")


def test_features_are_components_of_each_tap_and_distances_of_the_last_two(small):
    x = torch.randn(2, 3, 24, 24)
    found, taps = small.features(x), small.tapped(x)
    assert found.shape == (2, 36, SMALL.features)
    rows = functional.layer_norm(taps[1], (64,)) - small.means["2"]
    torch.testing.assert_close(found[..., 5:10], rows @ small.directions["2"].T)
    torch.testing.assert_close(found[..., 15:], unlike(taps[1:]))


def test_a_description_holds_every_feature_twice():
    features = torch.rand(2, 36, SMALL.features)
    found = describe(features, SMALL)
    plain, beside = found.split(SMALL.features, dim=-1)
    torch.testing.assert_close(plain[..., :15], features[..., :15])
    torch.testing.assert_close(plain[..., 15:], DISTANCE_SCALE * features[..., 15:])
    torch.testing.assert_close(beside.mean(dim=1), torch.zeros(2, SMALL.features), atol=1e-5, rtol=0)


def test_what_stands_out_is_large_and_flat_stays_flat():
    flat = torch.full((1, 9, 2), 3.0)
    torch.testing.assert_close(relative(flat, 0.1), torch.zeros(1, 9, 2))
    flat[0, 4, 1] = 4.0
    found = relative(flat, 0.1)[0, :, 1]
    assert int(found.argmax()) == 4
    assert float(found[4]) > 2


def test_tower_with_a_stem(small):
    shape = VisionShape(64, 2, 1, 4, 6, 8, "gelu", SMALL)
    tower = drawn(VisionTower(shape), 1)
    tower.stem.load_state_dict(small.state_dict())
    tensors = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    assert vision_shape(tensors, "here", "gelu", None) == shape
    x = torch.randn(2, 3, 24, 24)
    tokens = tower.embed(x)
    assert tokens.shape == (2, 36 + 1, 64)
    wanted = describe(small.features(x), SMALL) @ tower.conv1.weight.flatten(1).T
    torch.testing.assert_close(tokens[:, 1:], wanted + tower.positional_embedding[1:])


def test_a_lowered_tower_keeps_components_and_distances_in_float32(small):
    tower = drawn(VisionTower(VisionShape(64, 2, 1, 4, 6, 8, "gelu", SMALL)), 1)
    tower.lower(torch.bfloat16)
    kept = {name for name, p in tower.named_parameters() if p.dtype == torch.float32}
    assert {n for n in kept if n.startswith("stem.")} == {
        f"stem.{kind}.{tap}" for kind in ("means", "directions") for tap in SMALL.taps
    }
    assert tower.stem.features(torch.randn(1, 3, 24, 24)).dtype == torch.float32


def test_plain_bundles_are_written_as_before(tmp_path):
    clip = clip_from_tensors(small_clip.state_dict(), "small.pt", LoadOptions("quick_gelu"))
    out = build_bundle(tmp_path / "b", clip, image_size=small_clip.PATCH * 5)
    assert "stem" not in json.loads((out / "bundle.json").read_text())["vision"]
