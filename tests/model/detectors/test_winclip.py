"""WinCLIP and WinCLIP+ against what their open implementation computes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.winclip import WinClip
from s2sw.model.errors import BundleError
from s2sw.model.heads.windows import SCALES, class_tokens, harmonic_map, window_tokens
from tests.support.golden_family import case
from tests.support.tiny_clip import tiny_images

SCORE, MAP = 2e-6, 2e-6


@pytest.fixture(scope="module")
def golden():
    return case("winclip")


def build(golden, folder, **options):
    made = {"class_name": "bottle", "image_size": golden.size} | options
    return build_bundle(folder / "bundle", golden.clip, detector="winclip", **made)


@pytest.fixture(scope="module")
def references(golden):
    return torch.from_numpy(tiny_images(golden.meta["reference_seed"], golden.meta["k_shot"], golden.size))


@pytest.fixture(scope="module")
def plus(golden, references, tmp_path_factory):
    return build(golden, tmp_path_factory.mktemp("plus"), references=references)


@pytest.fixture(scope="module")
def detector(plus):
    loaded = load_detector(plus)
    assert isinstance(loaded, WinClip)
    return loaded


def test_embeddings(golden, detector):
    with torch.inference_mode():
        seen = detector.see(golden.images)
    assert golden.error("image_embedding", seen.image) < 1e-5
    for key, found in zip(
        ("window_embedding_2", "window_embedding_3", "patch_embedding"), seen.local, strict=True
    ):
        if key in golden.arrays:
            assert golden.error(key, found) < 1e-5


def test_zero_shot(golden, tmp_path):
    detector = load_detector(build(golden, tmp_path))
    out = detector.detect_normalized(golden.images)
    assert detector.family_names == ("text",)
    assert golden.error("image_score", out.score) < SCORE
    assert golden.error("anomaly_map", detector.full_map(out.token_map)) < MAP


def test_few_shot(golden, detector):
    out = detector.detect_normalized(golden.images)
    assert detector.family_names == ("text", "few_shot")
    assert golden.error("few_shot_image_score", out.score) < SCORE
    assert golden.error("few_shot_anomaly_map", detector.full_map(out.token_map)) < MAP
    assert golden.error("image_score", out.family_scores[:, 0]) < SCORE


def test_bf16_agrees_and_a_batch_is_its_pictures(golden, plus, detector):
    full, half = (
        d.detect_normalized(golden.images) for d in (detector, load_detector(plus, precision="bf16"))
    )
    assert (full.score - half.score).abs().max() < 2e-2
    assert (full.token_map - half.token_map).abs().max() < 2e-2
    with torch.inference_mode():  # the windows of all pictures together, as a GPU runs them
        _, families, maps = detector.score(golden.images, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(families, full.family_scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(maps, full.token_map, rtol=0, atol=1e-5)
    alone = detector.detect_normalized(golden.images[1:])
    assert torch.equal(alone.score, full.score[1:])
    assert torch.equal(alone.token_map, full.token_map[1:])


def test_a_picture_of_the_memory_is_at_no_distance(detector, references):
    out = detector.detect_normalized(references)
    assert out.family_scores[:, 1].max() < 1e-6


def test_windows_are_the_squares():
    tokens = window_tokens(4, 2)
    assert tokens.shape == (9, 5)
    assert tokens[0].tolist() == [0, 1, 2, 5, 6]
    assert tokens[-1].tolist() == [0, 11, 12, 15, 16]
    for scale in SCALES:
        assert window_tokens(15, scale).shape == ((16 - scale) ** 2, 1 + scale**2)


def test_one_window_is_the_tower_over_its_tokens(golden, detector):
    with torch.inference_mode():
        embedded = detector.tower.embed(golden.images[:1])
        window = embedded[:, window_tokens(15, 3)[77]]
        tokens, _ = detector.tower.plain(window)
        torch.testing.assert_close(class_tokens(detector.tower, window), tokens[:, 0])


@given(st.integers(3, 8), st.sampled_from(SCALES), st.integers(0, 100), st.booleans())
def test_harmonic_means_are_those_of_the_covering_windows(grid, scale, seed, zero):
    side = grid - scale + 1
    values = np.random.default_rng(seed).uniform(0.01, 1, (1, side, side)).astype(np.float32)
    if zero:
        values[0, 0, 0] = 0
    found = harmonic_map(torch.from_numpy(values).flatten(1), grid, scale)[0].numpy()
    for row in range(grid):
        for col in range(grid):
            rows, cols = (slice(max(0, at - scale + 1), min(at, side - 1) + 1) for at in (row, col))
            covering = values[0, rows, cols]
            expected = 0 if (covering == 0).any() else covering.size / (1 / covering).sum()
            assert found[row, col] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_name": ""}, "class_name: winclip needs the name"),
        ({"image_size": 40}, "image_size: 40 has less than 3 patches of 16 px"),
        ({"linear": "x.pth"}, "linear: winclip has no such option; it has class_name, references"),
        ({"references": torch.zeros(0, 3, 240, 240)}, "references: no picture of class 'bottle'"),
        ({"references": torch.zeros(1, 3, 99, 99)}, "references: .* 99, 99"),
        (
            {"class_name": ("a", "b"), "references": torch.zeros(1, 3, 240, 240)},
            "each of the class names a, b",
        ),
    ],
)
def test_wrong_settings(golden, tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(golden, tmp_path, **options)
    assert not list(tmp_path.iterdir())
