"""MuSc as a detector: its archive, its range, and the way of every other detector."""

import pytest
import torch

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.errors import BundleError
from s2sw.model.rarity.mutual import COPY, mutual_scores
from tests.support.family import CLASSES, clip, random

SIDE, COUNT = 56, 9
ARCHIVE = random(COUNT, 3, SIDE, SIDE, seed=1)


def build(folder, **options):
    given = {"references": ARCHIVE, "image_size": SIDE} | options
    return build_bundle(folder / "bundle", clip(), detector="musc", **given)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return build(tmp_path_factory.mktemp("musc"))


@pytest.fixture(scope="module")
def detector(bundle):
    return load_detector(bundle)


def test_a_picture_is_scored_by_its_own_patches_beside_the_archive(bundle, detector):
    x = random(2, 3, SIDE, SIDE, seed=2)
    taps = [patches for _, patches in detector.patch_features(x)]
    known = [torch.nn.functional.normalize(p, dim=-1) for _, p in detector.patch_features(ARCHIVE)]
    expected = torch.stack([mutual_scores([t[row] for t in taps], known, COPY["fp32"]) for row in range(2)])
    score, full = detector.raw(x)
    out = detector.detect_normalized(x)
    torch.testing.assert_close(2 * out.token_map.flatten(1), expected, atol=1e-3, rtol=0)  # kept as float16
    torch.testing.assert_close(score, 2 * out.token_map.flatten(1).amax(dim=1))
    torch.testing.assert_close(full, 2 * detector.full_map(out.token_map))
    assert detector.family_names == ("mutual",)
    assert read_record(bundle).settings["tap_blocks"] == [1, 2, 3, 4]


def test_the_archive_is_judged_picture_by_picture_without_itself(tmp_path, detector):
    for row in (0, COUNT - 1):
        rest = torch.cat([ARCHIVE[:row], ARCHIVE[row + 1 :], random(1, 3, SIDE, SIDE, seed=7)])
        other = load_detector(build(tmp_path / str(row), references=rest))
        known = [a[: COUNT - 1] for a in other.archives[0]]
        taps = [patches[0] for _, patches in detector.patch_features(ARCHIVE[row : row + 1])]
        expected = mutual_scores(taps, known, COPY["fp32"]).max() / 2
        torch.testing.assert_close(
            detector.detect_normalized(ARCHIVE[row : row + 1]).score[0], expected, atol=1e-5, rtol=0
        )


def test_each_class_has_an_archive_of_its_own(tmp_path):
    archives = {name: random(COUNT, 3, SIDE, SIDE, seed=seed) for seed, name in enumerate(CLASSES)}
    both = load_detector(build(tmp_path, references=archives))
    assert both.class_names == CLASSES
    x = random(2, 3, SIDE, SIDE, seed=4)
    out = both.detect_normalized(x, CLASSES)
    for row, name in enumerate(CLASSES):
        alone = load_detector(build(tmp_path / name, references=archives[name]))
        assert torch.equal(alone.detect_normalized(x[row : row + 1]).token_map[0], out.token_map[row])


@pytest.mark.usefixtures("bf16_everywhere")
def test_bf16_agrees_and_knows_its_own_pictures(bundle, detector):
    half = load_detector(bundle, precision="bf16")
    for x in (random(2, 3, SIDE, SIDE, seed=2), ARCHIVE):
        full, low = (d.detect_normalized(x) for d in (detector, half))
        assert (full.token_map - low.token_map).abs().max() < 0.03


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"references": None}, "references: musc needs pictures of the archive itself"),
        ({"references": ARCHIVE[:8]}, "references: 8 pictures; at least 9 are needed"),
        ({"references": {"nut": ARCHIVE[:3]}}, "references: 3 pictures of class 'nut'; at least 9"),
        ({"references": torch.zeros(9, 3, 8, 8)}, r"references: .*\(9, 3, 8, 8\)"),
        ({"tap_blocks": (2, 9)}, "tap_blocks .* up to 4"),
        ({"prompts": "handwritten"}, "prompts: musc has no such option"),
    ],
)
def test_wrong_settings(tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(tmp_path, **options)
    assert not list(tmp_path.iterdir())
