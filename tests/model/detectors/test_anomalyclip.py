"""AnomalyCLIP against what its released program computes, and its parts for training."""

import pytest
import torch
from torch.nn import functional

from s2sw.model import build_bundle, load_detector, maps
from s2sw.model.detectors.anomalyclip import FAMILY, AnomalyClip, anomaly_share, logits
from s2sw.model.errors import BundleError
from s2sw.model.prompts.learned import LearnedPrompts, read_prompts
from s2sw.model.prompts.text_features import text_features
from tests.support.golden import DATA
from tests.support.golden_family import case

PROMPTS = DATA / "golden_anomalyclip_prompts.pth"
SCORE, MAP = 2e-6, 2e-6


@pytest.fixture(scope="module")
def golden():
    return case("anomalyclip")


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    out = tmp_path_factory.mktemp("anomalyclip") / "bundle"
    return build_bundle(out, golden.clip, detector="anomalyclip", prompts=PROMPTS, image_size=golden.size)


@pytest.fixture(scope="module")
def detector(folder):
    loaded = load_detector(folder)
    assert isinstance(loaded, AnomalyClip)
    return loaded


def test_text_features(golden):
    features, label = text_features(golden.clip, PROMPTS, (FAMILY,))
    assert golden.error("text", features[FAMILY]) < 1e-5
    assert label == f"authors' checkpoint {PROMPTS.name}"


def test_scores_and_maps(golden, detector):
    out = detector.detect_normalized(golden.images)
    assert golden.error("image_score", out.score) < SCORE
    assert detector.family_names == ("object",)
    torch.testing.assert_close(out.family_scores[:, 0], out.score, rtol=0, atol=0)
    assert golden.error("anomaly_map", detector.full_map(out.token_map)) < MAP
    unsmoothed = maps.full_map(out.token_map.numpy(), golden.size, smooth=False)
    assert golden.error("anomaly_map_unsmoothed", torch.from_numpy(unsmoothed)) < MAP


def test_bf16_agrees(golden, folder, detector):
    full, half = (
        d.detect_normalized(golden.images) for d in (detector, load_detector(folder, precision="bf16"))
    )
    assert (full.score - half.score).abs().max() < 2e-2
    assert (full.token_map - half.token_map).abs().max() < 2e-2


def test_gradients_reach_the_prompts(golden):
    """What training needs: text features of prompts, logits of frozen features, nothing detached between."""
    read = read_prompts(PROMPTS, golden.clip.text.width, (FAMILY,))
    contexts = [t.clone().requires_grad_() for t in (read.normal, read.anomalous, *read.deep)]
    prompts = LearnedPrompts(contexts[0], contexts[1], tuple(contexts[2:]))
    text = prompts.features(golden.clip.text_tower(), (FAMILY,))[FAMILY]
    assert golden.error("text", text) < 1e-5  # with the words embedded here, not the checkpoint's
    patches = torch.randn(2, 10, text.shape[1], generator=torch.Generator().manual_seed(1))
    vectors = functional.normalize(text, dim=-1)
    torch.testing.assert_close(anomaly_share(patches, vectors), logits(patches, vectors).softmax(-1)[..., 1])
    anomaly_share(patches, vectors).sum().backward()
    assert all(t.grad.abs().sum() > 0 for t in contexts)


def test_prompts_of_another_detector_and_unknown_options(golden, tmp_path):
    def build(**options):
        given = {"prompts": PROMPTS, "image_size": golden.size} | options
        build_bundle(tmp_path / "b", golden.clip, **({"detector": "anomalyclip"} | given))

    with pytest.raises(BundleError, match="'token_prefix_pos_emo' is missing"):
        build(detector="s2swclip")
    with pytest.raises(
        BundleError, match="mix: anomalyclip has no such option; it has prompts, tap_blocks, two_"
    ):
        build(mix=(0.5, 0.5))
    with pytest.raises(BundleError, match=r"tap_blocks \(3,\) from block 6 on"):
        build(tap_blocks=(3,))
    assert not list(tmp_path.iterdir())


def test_class_names_are_refused(golden, detector):
    with pytest.raises(
        ValueError, match="class_names: 'bottle' given; this anomalyclip bundle has no class names"
    ):
        detector.detect_normalized(golden.images[:1], ["bottle"])
