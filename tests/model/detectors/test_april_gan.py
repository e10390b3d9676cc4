"""APRIL-GAN against what its released program computes; its memory; its parts for training."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.april_gan import AprilGan
from s2sw.model.errors import BundleError
from s2sw.model.heads.april_linear import LinearLayers, read_linear
from tests.support.golden import DATA
from tests.support.golden_family import case

LINEAR = DATA / "golden_april_linear.pth"
SCORE, MAP = 2e-6, 2e-6


@pytest.fixture(scope="module")
def golden():
    return case("april")


def build(golden, folder, **options):
    given = {"linear": LINEAR, "class_name": "bottle", "image_size": golden.size} | options
    return build_bundle(folder / "bundle", golden.clip, detector="april_gan", **given)


@pytest.fixture(scope="module")
def folder(golden, tmp_path_factory):
    return build(golden, tmp_path_factory.mktemp("april"))


@pytest.fixture(scope="module")
def detector(folder):
    loaded = load_detector(folder)
    assert isinstance(loaded, AprilGan)
    return loaded


def test_text_and_taps(golden, detector):
    assert golden.error("text", detector.vectors[0].cpu()) < SCORE
    _, taps = detector.encode_image(golden.images[:1])
    for index, tap in enumerate(taps):
        if f"raw_tap_{index}" in golden.arrays:
            assert golden.error(f"raw_tap_{index}", tap) < 1e-4  # values reach 18


def test_scores_and_maps(golden, detector):
    """The published range is the sum of four taps; ours is their mean."""
    out = detector.detect_normalized(golden.images)
    assert golden.error("image_score", out.score) < SCORE
    assert out.token_map.shape == (2, 4, 7, 7)
    assert golden.error("anomaly_map", 4 * detector.full_map(out.token_map)) < 4 * MAP
    by_numpy = detector.full_map(out.token_map.numpy())
    np.testing.assert_allclose(by_numpy, detector.full_map(out.token_map), atol=1e-6)


def test_compact_form_is_close_and_small(golden, detector, tmp_path):
    """The share of each patch, upsampled: what the published map is where tokens lie, not between them."""
    compact = load_detector(build(golden, tmp_path, maps="compact"))
    out = compact.detect_normalized(golden.images)
    assert out.token_map.shape == (2, 7, 7)
    assert golden.error("image_score", out.score) < SCORE
    exact = detector.full_map(detector.detect_normalized(golden.images).token_map)
    error = (compact.full_map(out.token_map) - exact).abs()
    assert 1e-4 < error.max() < 0.05
    corners = error[:, :: golden.size - 1, :: golden.size - 1]  # there patches and pixels meet
    assert corners.max() < 1e-5


def test_bf16_agrees(golden, folder, detector):
    full, half = (
        d.detect_normalized(golden.images) for d in (detector, load_detector(folder, precision="bf16"))
    )
    assert (full.score - half.score).abs().max() < 0.1
    assert (detector.full_map(full.token_map) - detector.full_map(half.token_map)).abs().max() < 0.1


def test_gradients_reach_the_linear_layers(golden):
    read = read_linear(LINEAR, 4, golden.clip.vision.width, golden.clip.vision.embed_dim)
    weight, bias = read.weight.clone().requires_grad_(), read.bias.clone().requires_grad_()
    taps = [torch.randn(2, 10, 128, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    vectors = functional.normalize(torch.randn(2, 96, generator=torch.Generator().manual_seed(9)), dim=-1)
    logits = LinearLayers(weight, bias).logits(taps, vectors)
    assert [one.shape for one in logits] == [(2, 2, 3, 3)] * 4
    by_hand = functional.normalize(taps[1][1, 5] @ read.weight[1].T + read.bias[1], dim=-1) @ vectors.T
    torch.testing.assert_close(logits[1][1, :, 1, 1], 100 * by_hand)
    torch.stack(logits).softmax(dim=2)[:, :, 1].sum().backward()
    assert all(g.abs().sum() > 0 for part in (weight, bias) for g in part.grad)


@pytest.fixture(scope="module")
def few_shot(golden, tmp_path_factory):
    """Two class names, each with two normal pictures of its own."""
    generator = torch.Generator().manual_seed(4)
    memory = {
        n: torch.randn(2, 3, golden.size, golden.size, generator=generator) for n in ("bottle", "cable")
    }
    options = {"class_name": ["bottle", "cable"], "references": memory, "calibration": (0.1, 0.6)}
    made = build(golden, tmp_path_factory.mktemp("few"), **options)
    return load_detector(made), memory


def test_few_shot_is_the_text_map_plus_the_distance_to_the_nearest(golden, detector, few_shot):
    few, memory = few_shot
    names = ["cable", "bottle"]
    out = few.detect_normalized(golden.images, names)
    text = detector.full_map(detector.detect_normalized(golden.images).token_map)
    expected = [4 * text[1]]
    for tap, normal in zip(
        *(few.encode_image(x)[1] for x in (golden.images[1:], memory["bottle"])), strict=True
    ):
        patches, known = (functional.normalize(t[:, 1:].flatten(0, 1), dim=-1) for t in (tap, normal))
        grid = (1 - patches @ known.T).amin(dim=1).reshape(1, 1, 7, 7)
        expected += functional.interpolate(grid, (golden.size,) * 2, mode="bilinear", align_corners=True)[0]
    expected = torch.stack(expected).sum(dim=0)
    found = 12 * few.full_map(out.token_map)[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    scaled = ((found.max() / 12 - 0.1) / 0.5).clamp(0, 1)
    torch.testing.assert_close(
        out.family_scores[1],
        torch.stack([torch.tensor(golden.arrays["image_score"])[1], scaled]),
        rtol=0,
        atol=1e-5,
    )
    torch.testing.assert_close(out.score, out.family_scores.mean(dim=1))


def test_without_calibration_the_maximum_counts_as_it_is(golden, few_shot, tmp_path, caplog):
    made = load_detector(build(golden, tmp_path, references=few_shot[1]["bottle"]))
    assert "no calibration is given" in caplog.text
    out = made.detect_normalized(golden.images)
    highest = made.full_map(out.token_map).amax(dim=(1, 2))
    torch.testing.assert_close(out.family_scores[:, 1], highest)


def test_class_names_choose_text_and_memory(golden, few_shot):
    few, memory = few_shot
    twice = golden.images[:1].repeat(2, 1, 1, 1)
    one, other = few.detect_normalized(twice, ["bottle", "cable"]).family_scores
    assert (one - other).abs().min() > 1e-4
    back = few.detect_normalized(twice, ["cable", "bottle"]).family_scores
    torch.testing.assert_close(torch.stack([other, one]), back, rtol=0, atol=0)
    normal = few.detect_normalized(memory["cable"], ["cable"] * 2).token_map[:, 4]
    assert normal.abs().max() < 1e-5, "a picture of the memory is at no distance from it"


def test_a_calibration_by_pictures_is_their_lowest_and_highest(golden, few_shot, tmp_path):
    _, memory = few_shot
    options = {"references": memory["bottle"], "calibration": golden.images}
    made = build(golden, tmp_path, **options)
    few = load_detector(made)
    highest = few.full_map(few.detect_normalized(golden.images).token_map).amax(dim=(1, 2))
    assert read_record(made).settings["calibration"] == pytest.approx(sorted(highest.tolist()), abs=1e-6)
    assert sorted(few.detect_normalized(golden.images).family_scores[:, 1].tolist()) == pytest.approx(
        [0, 1], abs=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_name": ()}, "class_name: april_gan needs the name"),
        ({"class_name": ("a", "a")}, "class_name: 'a' given; .* all different"),
        ({"linear": None}, "linear: april_gan needs the learned linear layers"),
        ({"tap_blocks": (6, 12)}, "'fc.2.bias' is .* where this CLIP and 2 taps need no such layer"),
        (
            {"tap_blocks": (6, 12, 18, 20, 24)},
            r"'fc.4.bias' is missing where this CLIP and 5 taps need \(96,\)",
        ),
        (
            {"linear": LinearLayers(torch.zeros(4, 96, 64), torch.zeros(4, 96))},
            r"linear: weight \(4, 96, 64\) and bias \(4, 96\) given; .* need \(4, 96, 128\)",
        ),
        ({"maps": "small"}, "maps: 'small' given; 'exact' or 'compact'"),
        ({"calibration": (0, 1)}, "calibration: it is for the few-shot score"),
        ({"references": torch.zeros(0, 3, 98, 98)}, "references: no picture of class 'bottle'"),
        ({"references": {"cable": torch.zeros(1, 3, 98, 98)}}, "references: no picture of class 'bottle'"),
        ({"references": torch.zeros(1, 3, 98, 98), "calibration": (0.4, 0.4)}, "two different values"),
        ({"prompts": "p.pth"}, "prompts: april_gan has no such option"),
    ],
)
def test_wrong_settings(golden, tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(golden, tmp_path, **options)
    assert not list(tmp_path.iterdir())


class Opened:
    """What a hostile checkpoint would do when a pickle is trusted."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_checkpoint_with_code_is_refused_unread(golden, tmp_path):
    mark = tmp_path / "mark"
    torch.save({"trainable_linearlayer": {"fc.0.weight": Opened(str(mark))}}, tmp_path / "linear.pth")
    with pytest.raises(BundleError, match=r"linear\.pth: not a readable file of tensors"):
        build(golden, tmp_path, linear=tmp_path / "linear.pth")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (None, "class_names: none given; this april_gan bundle has bottle, cable"),
        (["bottle", "botle"], "class_names: 'botle' given; this april_gan bundle has bottle, cable"),
        (["bottle"], "given for 2 pictures"),
        ("bottle", "given for 2 pictures"),
    ],
)
def test_wrong_class_names(golden, few_shot, names, message):
    with pytest.raises(ValueError, match=message):
        few_shot[0].detect_normalized(golden.images, names)
