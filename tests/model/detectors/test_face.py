"""What every detector of the family offers, in one form."""

import numpy as np
import pytest
import torch

from s2sw.model import load_detector
from s2sw.model.detectors.registry import SYSTEMS
from s2sw.model.precision import multiplies_int8
from tests.support.family import CLASSES, build_family, random


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    return build_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(params=SYSTEMS)
def detector(request, family):
    return load_detector(family[request.param])


def names_of(detector, count):
    return [CLASSES[row % 2] for row in range(count)] if detector.class_names else None


def test_patch_features(detector):
    """Named taps, float32, g * g patches of each picture; a picture's own, whatever the batch."""
    side, grid = detector.image_size, detector.grid
    x = random(3, 3, side, side, seed=1)
    found = detector.patch_features(x)
    assert found
    assert len(dict(found)) == len(found)
    for name, patches in found:
        assert name.startswith("block_")
        assert (patches.shape[:2], patches.dtype) == ((3, grid**2), torch.float32)
    if detector.name != "embedded":  # whose patches are those of the stem below its tower
        _, raw = detector.encode_image(x)
        for (_, patches), tap in zip(found, raw, strict=True):
            torch.testing.assert_close(patches, tap[:, 1:].float(), rtol=1e-4, atol=1e-4)
    for (_, alone), (_, together) in zip(detector.patch_features(x[1:2]), found, strict=True):
        assert torch.equal(alone, together[1:2])
    assert [patches.shape[0] for _, patches in detector.patch_features(x[:0])] == [0] * len(found)
    with pytest.raises(ValueError, match="this detector takes"):
        detector.patch_features(x[..., :8])


def test_scores_and_patches_of_one_pass_are_those_of_two(detector):
    side = detector.image_size
    pictures = np.random.default_rng(6).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    names = names_of(detector, 3)
    found, taps = detector.detect_with_patches(pictures, names)
    expected = detector.detect(pictures, names)
    for part in ("score", "family_scores", "token_map"):
        torch.testing.assert_close(getattr(found, part), getattr(expected, part), atol=1e-6, rtol=1e-5)
    patches = [tap for _, tap in detector.patch_features(detector.prepare(pictures))]
    torch.testing.assert_close(taps, patches, atol=1e-5, rtol=1e-4)


def test_raw_is_the_published_range(detector):
    """Scores and maps at S x S; those that no published sum or scale touches are the face's own."""
    side = detector.image_size
    x = random(2, 3, side, side, seed=2)
    names = names_of(detector, 2)
    score, full = detector.raw(x, names)
    assert (score.shape, full.shape, score.dtype, full.dtype) == ((2,), (2, side, side), *[torch.float32] * 2)
    if detector.name in ("aa_clip", "mvfa"):  # their scores are made of parts: their own tests
        return
    out = detector.detect_normalized(x, names)
    torch.testing.assert_close(score, detector.published_score * out.score)
    torch.testing.assert_close(full, detector.published_map * detector.full_map(out.token_map))


def test_scores_and_maps_are_in_range_and_batches_change_nothing(detector):
    """Pictures of any size, singly and together, each judged by its own class."""
    for count, size in ((3, (50, 70)), (1, (detector.image_size,) * 2)):
        pictures = np.random.default_rng(count).integers(0, 256, (count, *size, 3), dtype=np.uint8)
        names = names_of(detector, count)
        out = detector.detect(pictures, names)
        full = detector.full_map(out.token_map)
        assert out.family_scores.shape == (count, len(detector.family_names))
        for values in (out.score, full):
            assert values.min() >= -1e-6
            assert values.max() <= 1 + 1e-6
        for row in range(count):
            alone = detector.detect(pictures[row : row + 1], names and names[row : row + 1])
            for field in ("score", "family_scores", "token_map"):
                assert torch.equal(getattr(alone, field)[0], getattr(out, field)[row])


def test_another_class_is_judged_otherwise(detector):
    if not detector.class_names:
        pytest.skip("needs no class names")
    picture = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), dtype=np.uint8)
    one, other = (detector.detect(picture, [name]).token_map for name in CLASSES)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_lower_precisions_are_close(family, detector, precision):
    if precision == "int8" and not multiplies_int8(torch.device("cpu")):
        pytest.skip("this CPU has no AVX-512 VNNI, or torch no int8 products")
    pictures = np.random.default_rng(7).integers(0, 256, (2, 60, 60, 3), dtype=np.uint8)
    half = load_detector(family[detector.name], precision=precision)
    names = names_of(detector, 2)
    full, low = (d.detect(pictures, names) for d in (detector, half))
    assert (full.score - low.score).abs().max() < 0.15
    apart = (detector.full_map(full.token_map) - half.full_map(low.token_map)).abs()
    assert apart.mean() < 0.05
