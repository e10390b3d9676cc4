"""AdaptCLIP against what its released program computes, and against its definition at other sizes."""

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.adaptclip import AdaptClip, first_of_two_streams
from tests.support import checkpoints, small_clip
from tests.support.family import random, two_widths
from tests.support.golden import DATA
from tests.support.golden_family import case

CHECKPOINT = DATA / "golden_adaptclip_ckpt.pth"
FEATURE, SCORE, MAP = 1e-4, 1e-6, 1e-5
CASES = {"zero": {}, "few": {}, "no_context_few": {"context": False}}


@pytest.fixture(scope="module")
def golden():
    return case("adaptclip")


def build(golden, folder, **options):
    given = {"checkpoint": CHECKPOINT, "image_size": golden.size} | options
    return build_bundle(folder / "bundle", golden.clip, detector="adaptclip", **given)


@pytest.fixture(scope="module")
def bundles(golden, tmp_path_factory):
    return {
        name: build(
            golden,
            tmp_path_factory.mktemp(name),
            references=None if name == "zero" else golden.references,
            **options,
        )
        for name, options in CASES.items()
    }


@pytest.fixture(scope="module")
def detectors(bundles):
    found = {name: load_detector(folder) for name, folder in bundles.items()}
    assert all(isinstance(one, AdaptClip) for one in found.values())
    return found


def test_features_and_branches(golden, detectors):
    detector = detectors["zero"]
    feature, taps = detector.encode_image(golden.images)
    assert golden.error("image_feature", feature) < FEATURE  # values reach 17
    for number, tap in enumerate(taps):
        assert golden.error(f"patch_raw_{number}", tap[:1]) < FEATURE
    static, learned = detector.vectors
    for text, vectors in (("text_static", static), ("text_learned", learned)):
        expected = functional.normalize(torch.from_numpy(golden.arrays[text]), dim=-1)
        torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    with torch.inference_mode():
        visual = detector.branch(detector.whole(feature), detector.local(taps[-1]), static)
        textual = detector.branch(feature, taps[-1], learned)
    for name, (image, grid) in (("visual", visual), ("textual", textual)):
        assert golden.error(f"{name}_image", image) < SCORE
        assert golden.error(f"{name}_grid", grid) < MAP


def test_the_comparison_with_normal_pictures(golden, detectors):
    few, classes = detectors["few"], torch.zeros(2, dtype=torch.int64)
    with torch.inference_mode():
        taps = few.streams(golden.images).taps
        for number, tap in enumerate(taps):
            query = few.tower.project(tap[:, 1:])
            unit = functional.normalize(query, dim=-1)
            row = (unit @ few.memory.classes[0][f"tap_{number}"].T).argmax(dim=-1)
            assert torch.equal(row, torch.from_numpy(golden.arrays[f"few_nearest_{number}"]))
        image, _, distances = few.prompt_query(taps, classes)
    assert golden.error("few_pq_image", image) < SCORE
    for number, distance in enumerate(distances):
        assert golden.error(f"few_distance_{number}", distance) < MAP


@pytest.mark.parametrize("name", CASES)
def test_scores_and_maps(golden, detectors, name):
    detector = detectors[name]
    score, full = detector.raw(golden.images)
    assert golden.error(f"{name}_image_score", score) < SCORE
    assert golden.error(f"{name}_anomaly_map", full) < MAP
    out = detector.detect_normalized(golden.images)
    assert out.token_map.shape == ((2, 7, 7) if name == "zero" else (2, 28, 28))
    assert (detector.published_score, detector.published_map) == (
        (1, 1) if name == "zero" else (8 / 7, 4 / 3)
    )
    families = dict(zip(detector.family_names, out.family_scores.T, strict=True))
    torch.testing.assert_close(
        detector.published_map * families["map_max"], full.amax(dim=(1, 2)), atol=1e-5, rtol=0
    )
    if name == "few":
        assert golden.error("few_pq_image", families["prompt_query"]) < SCORE


def test_pictures_that_are_not_square(golden, detectors, tmp_path):
    pictures, normal = (torch.from_numpy(golden.arrays[f"uint8_{name}"]) for name in ("images", "references"))
    few = load_detector(build(golden, tmp_path, references=normal))
    for name, detector in (("zero", detectors["zero"]), ("few", few)):
        out = detector.detect(pictures)
        assert golden.error(f"uint8_{name}_image_score", detector.published_score * out.score) < SCORE
        full = detector.published_map * detector.full_map(out.token_map)
        assert golden.error(f"uint8_{name}_anomaly_map", full) < MAP


def test_compact_maps_are_close_and_scores_are_exact(golden, tmp_path):
    compact = load_detector(build(golden, tmp_path, references=golden.references, maps="compact"))
    score, full = compact.raw(golden.images)
    assert golden.error("few_image_score", score) < SCORE
    assert 1e-4 < golden.error("few_anomaly_map", full) < 0.02
    assert compact.detect_normalized(golden.images).token_map.shape == (2, 7, 7)


@pytest.mark.parametrize("name", ["zero", "few"])
def test_bf16_agrees_and_a_batch_is_its_pictures(golden, bundles, detectors, name):
    detector = detectors[name]
    full = detector.detect_normalized(golden.images)
    half = load_detector(bundles[name], precision="bf16").detect_normalized(golden.images)
    assert (full.score - half.score).abs().max() < 0.02
    assert (detector.full_map(full.token_map) - detector.full_map(half.token_map)).abs().max() < 0.02
    alone = detector.detect_normalized(golden.images[1:])
    for field in ("score", "family_scores", "token_map"):
        assert torch.equal(getattr(alone, field), getattr(full, field)[1:])
    with torch.inference_mode():  # as a GPU runs it
        together = detector.score(golden.images, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(together.image, full.score, rtol=0, atol=1e-5)


def test_a_picture_of_the_memory_is_at_no_distance(golden, detectors):
    """Distances of some 1e-7 of either sign, whose reciprocals would cancel, are none."""
    score, full = detectors["few"].raw(golden.references)
    assert score.max() < 1e-5
    assert full.max() < 1e-5


def batch_norm(named, name, channels, x):
    layer = nn.BatchNorm1d(channels) if x.ndim < 4 else nn.BatchNorm2d(channels)
    layer.load_state_dict(
        {k.removeprefix(f"{name}."): v for k, v in named.items() if k.startswith(f"{name}.")}
    )
    return layer.eval()(x)


@torch.inference_mode()
def test_other_sizes_are_the_definition(tmp_path):
    """Towers of different widths, three taps, two kinds of references; every layer by torch's own."""
    clip, side, grid = two_widths(), small_clip.PATCH * 5 + 2, 5
    found = checkpoints.adaptclip(clip, taps=3)
    normal = {name: random(2, 3, side, side, seed=seed) for seed, name in enumerate(("bolt", "nut"))}
    detector = load_detector(
        build_bundle(
            tmp_path / "b", clip, detector="adaptclip", image_size=side, references=normal,
            checkpoint=checkpoints.saved(found, tmp_path / "epoch.pth"),
        )
    )  # fmt: skip
    assert detector.record.settings["tap_blocks"] == [3, 4, 6]
    x, names = random(2, 3, side, side, seed=9), ["nut", "bolt"]
    score, full = detector.raw(x, names)
    for row, name in enumerate(names):
        feature, taps = detector.encode_image(x[row : row + 1])
        known = detector.encode_image(normal[name])[1]
        image, grids = branches(detector, found["visual_learner"], feature, taps[-1], grid)
        pq, heads = found["pq_learner"], []
        maps, aligned = [up(g, side) for g in grids], []
        for tap, (query, memory) in enumerate(zip(taps, known, strict=True)):
            q, m = (functional.normalize(t[:, 1:].flatten(0, 1), dim=-1) for t in (query, memory))
            cosine, near = (q @ m.T).max(dim=1)
            aligned.append(up((1 - cosine).clamp(min=0).reshape(1, grid, grid), side))
            z = batch_norm(pq, f"sharebn.{tap}", len(q.T), q + (q - m[near]).abs())
            heads.append(query_heads(pq, tap, z, grid))
        pq_map = torch.stack([up(h[1], side) for h in heads]).mean(dim=0)
        pq_image = torch.stack([h[0] for h in heads]).mean()
        align = len(aligned) / sum(1 / a for a in aligned)
        fused = 2 / (3 / (maps[0] + maps[1] + pq_map) + 1 / align)
        smooth = torch.from_numpy(gaussian_filter(fused[0].numpy(), sigma=4))
        torch.testing.assert_close(full[row], smooth, rtol=0, atol=1e-4)
        expected = 2 / (3 / (image[0] + image[1] + pq_image) + 1 / smooth.max())
        torch.testing.assert_close(score[row], expected, rtol=0, atol=1e-5)


def up(grids, side):
    return functional.interpolate(grids[None], size=side, mode="bilinear", align_corners=False)[0]


def branches(detector, visual, feature, patches, grid):
    images, grids = [], []
    for adapted, text in zip((True, False), detector.vectors, strict=True):
        f, p = feature[0], patches[0]
        if adapted:
            f, p = (
                adapter(visual, name, z) for name, z in (("global_adapter", f[None]), ("local_adater", p))
            )
            f = f[0]
        images.append((functional.normalize(f, dim=-1) @ text.T / 0.07).softmax(dim=-1)[1])
        tokens = (functional.normalize(p, dim=-1) @ text.T / 0.07).softmax(dim=-1)[1:, 1]
        grids.append(tokens.reshape(1, grid, grid))
    return images, grids


def adapter(visual, name, z):
    inside = batch_norm(visual, f"{name}.fc.1", 6, z @ visual[f"{name}.fc.0.weight"].T)
    return z + functional.relu(inside) @ visual[f"{name}.fc.3.weight"].T


def query_heads(pq, tap, z, grid):
    """Both heads' shares, by the tap's own copies of their layers."""
    s = (z.mean(dim=0) + z.topk(10, dim=0).values.mean(dim=0)) / 2
    at = f"global_adapter.{tap}"
    x = functional.relu(batch_norm(pq, f"{at}.1", 8, (s @ pq[f"{at}.0.weight"].T)[None]))
    x = functional.relu(batch_norm(pq, f"{at}.4", 4, x @ pq[f"{at}.3.weight"].T))
    image = (x @ pq[f"{at}.6.weight"].T).softmax(dim=1)[0, 1]
    at = f"local_adapter.{tap}"
    x = functional.conv2d(z.T.reshape(1, -1, grid, grid), pq[f"{at}.0.weight"], padding=1)
    x = functional.relu(batch_norm(pq, f"{at}.1", 8, x))
    x = functional.conv_transpose2d(x, pq[f"{at}.3.weight"], pq[f"{at}.3.bias"], stride=2)
    x = functional.relu(batch_norm(pq, f"{at}.5", 4, functional.conv2d(x, pq[f"{at}.4.weight"], padding=1)))
    x = functional.conv_transpose2d(x, pq[f"{at}.7.weight"], pq[f"{at}.7.bias"], stride=2)
    x = functional.conv2d(x, pq[f"{at}.8.weight"], pq[f"{at}.8.bias"])
    return image, x.softmax(dim=1)[0, 1:]


@pytest.mark.parametrize(
    ("layers", "taps", "expected"), [(24, 4, 6), (12, 4, 4), (12, 2, 4), (4, 4, 1), (6, 3, 3), (24, 1, 6)]
)
def test_where_two_streams_start(layers, taps, expected):
    assert first_of_two_streams(layers, taps) == expected


def test_the_record_says_what_was_chosen(bundles):
    settings = read_record(bundles["no_context_few"]).settings
    assert settings == {
        "two_stream_from": 6, "tap_blocks": [6, 12, 18, 24], "context": False, "maps": "exact",
    }  # fmt: skip
