"""MVFA-AD against what its released program computes, and against its definition at other sizes."""

import pytest
import torch
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.mvfa import Mvfa
from s2sw.model.heads.augmentation import eleven_fold
from tests.support import checkpoints, small_clip
from tests.support.family import clip as small
from tests.support.family import random
from tests.support.golden import DATA
from tests.support.golden_family import case

CHECKPOINT = DATA / "golden_mvfa_ckpt.pth"
TEXT, TOKEN, SCORE, MAP = 1e-6, 1e-4, 2e-6, 1e-5


@pytest.fixture(scope="module")
def golden():
    return case("mvfa")


def build(golden, folder, **options):
    given = {"checkpoint": CHECKPOINT, "class_name": golden.meta["class_name"], "image_size": golden.size}
    return build_bundle(folder / "bundle", golden.clip, detector="mvfa", **(given | options))


@pytest.fixture(scope="module")
def bundles(golden, tmp_path_factory):
    return {
        "zero": build(golden, tmp_path_factory.mktemp("zero")),
        "few": build(golden, tmp_path_factory.mktemp("few"), references=golden.references),
    }


@pytest.fixture(scope="module")
def detectors(bundles):
    found = {name: load_detector(folder) for name, folder in bundles.items()}
    assert all(isinstance(one, Mvfa) for one in found.values())
    return found


def test_text_and_tokens(golden, detectors):
    assert golden.error("text", detectors["zero"].vectors[0].T) < TEXT
    with torch.inference_mode():
        seen = detectors["zero"].levels(golden.images[:1])
    for level in range(4):
        assert golden.error(f"seg_{level}", seen["seg"][level][0]) < TOKEN
        assert golden.error(f"det_{level}", seen["det"][level][0]) < TOKEN


def test_zero_shot(golden, detectors):
    score, full = detectors["zero"].raw(golden.images)
    assert golden.error("zero_image_score", score) < 4 * SCORE
    assert golden.error("zero_anomaly_map", full) < 4 * MAP
    out = detectors["zero"].detect_normalized(golden.images)
    assert detectors["zero"].family_names == ("zero_det", "zero_seg_max")
    torch.testing.assert_close(4 * out.score, score)
    torch.testing.assert_close(4 * detectors["zero"].full_map(out.token_map), full)


def test_few_shot(golden, detectors):
    few = detectors["few"]
    score, full = few.raw(golden.images)
    assert golden.error("few_det_score", score) < 8 * SCORE
    assert golden.error("few_seg_map", full) < 8 * MAP
    out = few.detect_normalized(golden.images)
    assert few.family_names == ("zero_det", "zero_seg_max", "few_seg_max", "few_det_mean")
    zero_score, zero_map = detectors["zero"].raw(golden.images)
    whole = few.full_map(out.token_map)
    torch.testing.assert_close(whole, (zero_map / 4 + full / 8) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(out.score, whole.amax(dim=(1, 2)), rtol=0, atol=1e-6)
    maxima = [(zero_map / 4).amax(dim=(1, 2)), (full / 8).amax(dim=(1, 2))]
    expected = torch.stack([zero_score / 4, *maxima, score / 8], dim=1)
    torch.testing.assert_close(out.family_scores, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("head", "families"), [("seg", [1]), ("det", [0])])
def test_the_head_of_the_image_score_can_be_chosen(golden, tmp_path, head, families):
    zero = load_detector(build(golden, tmp_path, head=head)).detect_normalized(golden.images)
    torch.testing.assert_close(zero.score, zero.family_scores[:, families].mean(dim=1))


def test_the_det_head_with_references(golden, tmp_path):
    out = load_detector(build(golden, tmp_path, head="det", references=golden.references[:1]))
    found = out.detect_normalized(golden.images)
    torch.testing.assert_close(found.score, found.family_scores[:, [0, 3]].mean(dim=1))


def test_the_input_is_not_normalised(golden, bundles, detectors):
    assert read_record(bundles["zero"]).std == (1, 1, 1)
    pixels = (golden.images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
    found = detectors["zero"].detect(pixels)
    expected = detectors["zero"].detect_normalized(pixels.permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(found.score, expected.score)


@pytest.mark.parametrize("name", ["zero", "few"])
def test_bf16_agrees_and_a_batch_is_its_pictures(golden, bundles, detectors, name):
    detector = detectors[name]
    full, half = (
        d.detect_normalized(golden.images) for d in (detector, load_detector(bundles[name], precision="bf16"))
    )
    assert (full.score - half.score).abs().max() < 0.02
    assert (detector.full_map(full.token_map) - detector.full_map(half.token_map)).abs().max() < 0.03
    alone = detector.detect_normalized(golden.images[1:])
    for field in ("score", "family_scores", "token_map"):
        assert torch.equal(getattr(alone, field), getattr(full, field)[1:])
    with torch.inference_mode():  # as a GPU runs it
        together = detector.score(golden.images, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(together.image, full.score, rtol=0, atol=1e-5)


def test_other_sizes_and_levels_are_the_definition(tmp_path):
    """Three levels on another CLIP, two class names with memories of their own."""
    clip = small()
    side, levels = small_clip.PATCH * 5 + 3, 3
    found = checkpoints.mvfa(clip, levels)
    names = ("Retina_RESC", "a leaf")
    normal = {name: random(2, 3, side, side, seed=seed) for seed, name in enumerate(names)}
    made = build_bundle(
        tmp_path / "b", clip, detector="mvfa", image_size=side, class_name=names, references=normal,
        checkpoint=checkpoints.saved(found, tmp_path / "x.pth"),
    )  # fmt: skip
    detector = load_detector(made)
    assert read_record(made).settings["tap_blocks"] == [1, 3, 4]
    x = random(2, 3, side, side, seed=9)
    score, full = detector.raw(x, names)
    for row, name in enumerate(names):
        query, memory = plain(detector, found, x[row : row + 1]), plain(detector, found, normal[name])
        maps = {}
        for head in ("seg", "det"):
            maps[head] = 0
            for q, m in zip(query[head], memory[head], strict=True):
                cosine = (
                    functional.normalize(q[0, 1:], dim=-1) @ functional.normalize(m.flatten(0, 1), dim=-1).T
                )
                grid = (1 - cosine).amin(dim=1).reshape(1, 1, 5, 5)
                maps[head] += functional.interpolate(grid, size=side, mode="bilinear", align_corners=True)[
                    0, 0
                ]
        torch.testing.assert_close(full[row], maps["seg"], rtol=0, atol=1e-4)
        torch.testing.assert_close(score[row], maps["det"].mean(), rtol=0, atol=1e-4)


@torch.inference_mode()
def plain(detector, checkpoint, x):
    """The definition, block by block: what both heads say at each level."""
    seen = {"seg": [], "det": []}
    h = detector.tower.ln_pre(detector.tower.embed(x))
    level = 0
    for number, block in enumerate(detector.tower.transformer, 1):
        h = block(h)
        if number in detector.tap_blocks:
            after = 0.8 * h
            for head, kept in seen.items():
                weights = checkpoint[f"{head}_adapters"]
                kept.append(functional.leaky_relu(h @ weights[f"{level}.fc1.0.weight"].T))
                after = after + 0.1 * functional.leaky_relu(kept[-1] @ weights[f"{level}.fc2.0.weight"].T)
            h, level = after, level + 1
    return seen


def test_augmented_references(golden, detectors, tmp_path):
    """Eleven for one, themselves among them: no patch is farther away than without."""
    pictures = golden.references[:1]
    more = eleven_fold(pictures)
    assert more.shape == (11, *pictures.shape[1:])
    assert torch.equal(more[:1], pictures)
    assert all(not torch.equal(one, other) for i, one in enumerate(more) for other in more[:i])
    assert torch.equal(more[9:].flatten(1).sort().values, pictures.flatten(1).sort().values.expand(2, -1))
    few, many = (
        load_detector(build(golden, folder, references=pictures, augment=augment))
        for folder, augment in ((tmp_path / "few", False), (tmp_path / "many", True))
    )
    difference = few.raw(golden.images)[1] - many.raw(golden.images)[1]
    assert difference.min() > -1e-4
    assert difference.max() > 1e-3
