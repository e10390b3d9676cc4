"""The stem: EfficientNet-lite0 as published, read off weights, and in a tower."""

import json

import numpy as np
import pytest
import timm
import torch

from s2sw.model.detectors.bundling import build_bundle
from s2sw.model.embedded_training.net import fresh_stem
from s2sw.model.errors import BundleError
from s2sw.model.towers.shapes import VisionShape, vision_shape
from s2sw.model.towers.stem import Stem, StemBlock, StemShape, describe, relative, stem_shape
from s2sw.model.towers.visual import VisionTower
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.efficientnet import published_file
from s2sw.model.weights.hints import Hints
from tests.support import small_clip

SMALL = StemShape(4, ((StemBlock(0, 3, 4),), (StemBlock(8, 5, 6), StemBlock(12, 3, 6))))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Stem(SMALL).eval().requires_grad_(False)


def test_agrees_with_the_published_network():
    """timm has its own EfficientNet-lite0; the published file's tensors come in the same order."""
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    ours = [n for n in reference.state_dict() if "num_batches" not in n]
    published = torch.load(published_file(), weights_only=True)
    theirs = [n for n in published if "num_batches" not in n]
    reference.load_state_dict({a: published[b] for a, b in zip(ours, theirs, strict=True)}, strict=False)
    x = torch.randn(2, 3, 240, 240, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = reference.forward_intermediates(x, intermediates_only=True)[:4]
        for found, wanted in zip(fresh_stem()._maps(x), expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


def test_shape_is_read_off_the_weights(small):
    tensors = {f"visual.stem.{name}": tensor for name, tensor in small.state_dict().items()}
    assert stem_shape(tensors, "visual.stem.", "here") == SMALL
    assert (SMALL.stride, SMALL.groups, SMALL.features) == (4, (3 * 4, 6), 3 * 4 + 6)
    assert stem_shape({"visual.proj": torch.zeros(1)}, "visual.stem.", "here") is None
    del tensors["visual.stem.levels.1.1.depthwise.weight"]
    with pytest.raises(BundleError, match=r"here: tensor 'visual\.stem\.levels\.1\.1\.depthwise\.weight'"):
        stem_shape(tensors, "visual.stem.", "here")


def test_finer_levels_are_pooled_to_patches(small):
    """A patch's features depend on its own pixels and a margin, and are summed up by mean, max and min."""
    x = torch.randn(1, 3, 64, 64)
    features = small.features(x)
    assert features.shape == (1, 16 * 16, SMALL.features)
    fine, last = small._maps(x)
    torch.testing.assert_close(features[0, :, -6:], last[0].flatten(1).T)
    cell = fine[0, :, 4:6, 6:8].flatten(1)  # patch of row 2, column 3
    wanted = torch.cat([cell.mean(dim=1), cell.amax(dim=1), cell.amin(dim=1)])
    torch.testing.assert_close(features[0, 2 * 16 + 3, :12], wanted)


def test_what_stands_out_is_large_and_flat_stays_flat():
    flat = torch.full((1, 9, 2), 3.0)
    torch.testing.assert_close(relative(flat), torch.zeros(1, 9, 2))
    flat[0, 4, 1] = 4.0
    found = relative(flat)[0, :, 1]
    assert int(found.argmax()) == 4
    assert float(found[4]) > 2


def test_tower_with_a_stem(small):
    shape = VisionShape(64, 2, 1, SMALL.stride, 16, 8, "gelu", SMALL)
    tower = VisionTower(shape)
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.normal_(0, 0.02)
        tower.stem.load_state_dict(small.state_dict())
    tensors = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    assert vision_shape(tensors, "here", "gelu", None) == shape
    x = torch.randn(2, 3, 64, 64)
    tokens = tower.embed(x)
    assert tokens.shape == (2, 16 * 16 + 1, 64)
    by_convolution = torch.nn.functional.conv2d(
        describe(small.features(x), SMALL.groups).transpose(1, 2).reshape(2, -1, 16, 16), tower.conv1.weight
    )
    wanted = by_convolution.flatten(2).transpose(1, 2) + tower.positional_embedding[1:]
    torch.testing.assert_close(tokens[:, 1:], wanted, atol=1e-5, rtol=1e-5)
    alone = tower.embed(x[:1])
    np.testing.assert_allclose(tokens[:1].detach(), alone.detach(), atol=1e-5)


def test_plain_bundles_are_written_as_before(tmp_path):
    clip = clip_from_tensors(small_clip.state_dict(), "small.pt", Hints("quick_gelu"))
    out = build_bundle(tmp_path / "b", clip, image_size=small_clip.PATCH * 5)
    assert "stem" not in json.loads((out / "bundle.json").read_text())["vision"]
