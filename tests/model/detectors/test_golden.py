"""The detector against what the released program computes: every intermediate, both tap modes."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from s2sw.model import build_bundle, load_detector, maps
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.heads.fusion import fuse
from s2sw.model.heads.similarity import TAU, anomaly_probability, similarity
from s2sw.model.heads.spatial import hierarchical_fusion, spatial_features
from s2sw.model.prompts.text_features import text_features
from tests.support.golden import Golden, golden

SCORE, MAP, FEATURE = 1e-5, 1e-4, 1e-4


@pytest.fixture(scope="module", params=["a", "b"])
def case(request):
    return golden(request.param)


def detector_of(case: Golden, folder, taps="released") -> S2swClip:
    out = build_bundle(
        folder,
        clip=case.clip,
        prompts=case.prompts,
        image_size=case.meta["size"],
        mix=case.meta["mix"],
        taps=taps,
    )
    loaded = load_detector(out)
    assert isinstance(loaded, S2swClip)
    return loaded


@pytest.fixture(scope="module")
def detector(case, tmp_path_factory):
    return detector_of(case, tmp_path_factory.mktemp("golden") / "bundle")


def test_text_features(case):
    features, label = text_features(case.clip, case.prompts)
    for family in ("object", "state", "defect"):
        assert case.error(f"text_{family}", features[family]) < FEATURE
    fused = [fuse(features["state"][k], features["object"][k], features["defect"][k]) for k in (0, 1)]
    assert case.error("text_fused_raw", torch.stack(fused)) < FEATURE
    assert label.startswith("authors' checkpoint")


def test_scores(case, detector):
    out = detector.detect_normalized(case.images)
    assert case.error("image_score", out.score) < SCORE
    assert case.error("image_score_families", out.family_scores.T) < SCORE
    assert detector.family_names == ("state", "object", "fused", "defect")


def test_maps(case, detector):
    """The released range is the sum of four taps; ours is their mean."""
    tokens = detector.detect_normalized(case.images).token_map
    assert case.error("anomaly_map", 4 * detector.full_map(tokens)) < 4 * MAP
    unsmoothed = maps.full_map(tokens.numpy(), case.meta["size"], smooth=False)
    assert case.error("anomaly_map_unsmoothed", torch.from_numpy(4 * unsmoothed)) < 4 * MAP


def test_features(case, detector, tmp_path):
    feature, (patches,) = detector.encode_image(case.images)
    assert case.error("image_feature_raw", feature) < FEATURE
    assert case.error("patch_raw", patches) < FEATURE
    _, layers = detector_of(case, tmp_path / "per_layer", "per_layer").encode_image(case.images)
    assert len(layers) == 4
    for index, layer in enumerate(layers):
        assert case.error(f"patch_raw_per_layer_{index}", layer) < FEATURE


def test_head(case, detector):
    _, (patches,) = detector.encode_image(case.images)
    p = functional.normalize(patches, dim=-1)
    assert case.error("hff_0", hierarchical_fusion(p)) < FEATURE
    assert case.error("wavelet_0", detector.wavelet(p)) < FEATURE
    fused = detector.vectors[2]
    for name, x in (("spatial", spatial_features(p)), ("wavelet", detector.wavelet(p))):
        probabilities = (similarity(x, fused, fused) / TAU).softmax(dim=-1)
        assert case.error(f"similarity_{name}_0", probabilities) < MAP
        assert (probabilities[..., 1] - anomaly_probability(x, fused, fused)).abs().max() < 1e-6


def test_per_layer_map_is_the_mean_over_taps(tmp_path):
    case = golden("a")
    detector = detector_of(case, tmp_path / "bundle", "per_layer")
    _, layers = detector.encode_image(case.images)
    expected = torch.stack([detector.token_map(layer) for layer in layers]).mean(0)
    found = detector.detect_normalized(case.images).token_map
    np.testing.assert_allclose(found, expected, atol=1e-6)
    released = detector_of(case, tmp_path / "released").detect_normalized(case.images)
    assert (found - released.token_map).abs().max() > 1e-3
