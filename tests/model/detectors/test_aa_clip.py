"""AA-CLIP against what its released program computes, and against its definition at other sizes."""

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.aa_clip import AaClip
from s2sw.model.errors import BundleError
from s2sw.model.heads.adapters import turned
from tests.support import checkpoints, small_clip
from tests.support.checkpoints import drop, put
from tests.support.family import clip as small
from tests.support.family import random
from tests.support.golden import DATA
from tests.support.golden_family import case

IMAGE, TEXT_ADAPTER = DATA / "golden_aaclip_image_adapter.pth", DATA / "golden_aaclip_text_adapter.pth"
TEXT, TOKEN, SCORE, MAP = 1e-6, 1e-5, 1e-6, 5e-5
CASES = {
    "industrial": {"text_adapter": TEXT_ADAPTER},
    "medical": {"text_adapter": TEXT_ADAPTER, "domain": "medical"},
    "unadapted_text": {},
}


LAYER, SEG = "layer_adapters.{}.fc.0.weight", "seg_proj.1.fc.0.weight"


def mixed(checkpoint):
    """One projection as if trained without LeakyReLU."""
    adapter = checkpoint["image_adapter"]
    adapter["seg_proj.3.fc.weight"] = adapter.pop("seg_proj.3.fc.0.weight")


def deep(checkpoint):
    """More adapters than the tower has blocks."""
    checkpoint["image_adapter"].update({LAYER.format(n): torch.zeros(128, 128) for n in range(25)})


@pytest.fixture(scope="module")
def golden():
    return case("aaclip")


def build(golden, folder, **options):
    given = {"image_adapter": IMAGE, "class_name": golden.meta["class_name"], "image_size": golden.size}
    return build_bundle(folder / "bundle", golden.clip, detector="aa_clip", **(given | options))


@pytest.fixture(scope="module")
def bundles(golden, tmp_path_factory):
    return {name: build(golden, tmp_path_factory.mktemp(name), **options) for name, options in CASES.items()}


@pytest.fixture(scope="module")
def detectors(bundles):
    found = {name: load_detector(folder) for name, folder in bundles.items()}
    assert all(isinstance(one, AaClip) for one in found.values())
    return found


def test_texts_and_features(golden, detectors):
    detector = detectors["industrial"]
    assert golden.error("text", detector.vectors[0].T) < TEXT
    assert golden.error("text_unadapted", detectors["unadapted_text"].vectors[0].T) < TEXT
    with torch.inference_mode():
        seg, feature = detector.features(detector.taps(golden.images))
    assert golden.error("det", feature) < TOKEN
    for level in range(4):
        assert golden.error(f"seg_{level}", seg[level][0]) < TOKEN
        assert golden.error(f"grid_{level}", detector.level_map(seg[level], detector.vectors[[0, 0]])) < MAP


@pytest.mark.parametrize("name", CASES)
def test_scores_and_maps(golden, detectors, name):
    score, full = detectors[name].raw(golden.images)
    assert golden.error(f"{name}_det_score", score) < SCORE
    assert golden.error(f"{name}_map", full) < MAP
    out = detectors[name].detect_normalized(golden.images)
    shown = (full / 2 - 1).sigmoid()
    torch.testing.assert_close(detectors[name].full_map(out.token_map), shown, rtol=0, atol=1e-5)
    highest = shown.amax(dim=(1, 2))
    expected = highest if name == "medical" else (highest + score) / 2
    torch.testing.assert_close(out.score, expected, rtol=0, atol=1e-5)
    assert detectors[name].family_names == ("det", "map_max")
    parts = torch.stack([score, full.amax(dim=(1, 2))], dim=1)
    torch.testing.assert_close(out.family_scores, parts, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_bf16_agrees_and_a_batch_is_its_pictures(golden, bundles, detectors, name):
    full = detectors[name].detect_normalized(golden.images)
    half = load_detector(bundles[name], precision="bf16").detect_normalized(golden.images)
    assert (full.score - half.score).abs().max() < 0.02
    assert (full.token_map.sigmoid() - half.token_map.sigmoid()).abs().max() < 0.03
    alone = detectors[name].detect_normalized(golden.images[1:])
    for field in ("score", "family_scores", "token_map"):
        assert torch.equal(getattr(alone, field), getattr(full, field)[1:])
    with torch.inference_mode():  # as a GPU runs it
        together = detectors[name].score(golden.images, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(together.image, full.score, rtol=0, atol=1e-5)


@pytest.mark.parametrize("relu", [True, False])
def test_other_sizes_are_the_definition(tmp_path, relu):
    """Three levels and three adapted blocks on another CLIP, a share of its own, two class names."""
    clip, side, grid = small(), small_clip.PATCH * 6 + 1, 6
    image = checkpoints.aa_clip_image(clip, blocks=3, levels=3, relu=relu)
    made = build_bundle(
        tmp_path / "b", clip, detector="aa_clip", image_size=side, class_name=("bottle", "leaf"),
        image_adapter=checkpoints.saved(image, tmp_path / "image.pth"),
        text_adapter=checkpoints.saved(checkpoints.aa_clip_text(clip), tmp_path / "text.pth"),
        image_adapt_weight=0.3,
    )  # fmt: skip
    detector = load_detector(made)
    assert read_record(made).settings["tap_blocks"] == [1, 3, 4]
    x, names = random(2, 3, side, side, seed=9), ["leaf", "bottle"]
    score, full = detector.raw(x, names)
    expected = plain(detector, image["image_adapter"], x, detector.vectors[[1, 0]], relu, grid, side)
    torch.testing.assert_close(score, expected[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(full, expected[1], rtol=0, atol=1e-4)


@torch.inference_mode()
def plain(detector, weights, x, text, relu, grid, side):
    """The definition, step by step: det scores and raw maps."""
    fc = "fc.0" if relu else "fc"

    def project(tokens, weight):
        out = tokens @ weight.T
        return functional.normalize(functional.leaky_relu(out) if relu else out, dim=-1)

    tower = detector.tower
    h, maps, level = tower.ln_pre(tower.embed(x)), 0, 0
    for number, block in enumerate(tower.transformer, 1):
        h = block(h)
        if number <= 3:
            a = functional.leaky_relu(h @ weights[f"layer_adapters.{number - 1}.fc.0.weight"].T)
            h = 0.3 * a * h.norm(dim=-1, keepdim=True) / a.norm(dim=-1, keepdim=True) + 0.7 * h
        if number in detector.tap_blocks:
            normed = tower.ln_post(h[:, 1:])
            s = project(normed, weights[f"seg_proj.{level}.{fc}.weight"])
            logits = 100 * torch.einsum("bnc,bkc->bnk", s, text)
            p = ((logits[..., 1] + 1 - logits[..., 0]) / 2).reshape(len(x), grid, grid)
            blurred = gaussian_filter(p.numpy(), sigma=(0, 1, 1), radius=(0, 3, 3), mode="mirror")
            p = torch.from_numpy(blurred)[:, None]
            maps, level = (
                maps + functional.interpolate(p, size=side, mode="bilinear", align_corners=True),
                level + 1,
            )
    d = project(normed, weights[f"det_proj.{fc}.weight"]).mean(dim=1)
    return ((d * text[:, 1]).sum(dim=1) + 1) / 2, maps[:, 0]


def test_a_token_that_is_turned_keeps_its_length():
    tokens, weight = random(5, 8, seed=1), random(8, 8, seed=2)
    whole = turned(tokens, weight, 1.0)
    torch.testing.assert_close(whole.norm(dim=-1), tokens.norm(dim=-1))
    torch.testing.assert_close(turned(tokens, weight, 0.25), 0.25 * whole + 0.75 * tokens)
    assert torch.equal(turned(tokens, torch.zeros(8, 8), 0.25), tokens)


def test_names_of_the_table_stand_for_their_descriptions(golden, tmp_path):
    def vectors(folder, **options):
        return load_detector(build(golden, tmp_path / folder, **options)).vectors

    (tmp_path / "a").mkdir()
    known = vectors("a", class_name=("bottle", "leaf"), descriptions={"leaf": "brown leaf"})
    assert torch.equal(known[0], vectors("b", class_name="dark bottle")[0])
    assert torch.equal(known[1], vectors("c", class_name="brown leaf")[0])
    other = vectors("d", class_name="bottle", descriptions={"bottle": "green bottle"})
    assert not torch.equal(other[0], known[0])


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (IMAGE, lambda c: c.pop("image_adapter"), "'image_adapter' is missing, which aa_clip needs"),
        (
            IMAGE,
            lambda c: c.update(seg_adapters={}),
            "'seg_adapters' is unknown to aa_clip.*looks like .*mvfa",
        ),
        (IMAGE, drop("image_adapter", "det_proj.fc.0.weight"), "'seg_proj.0.fc.weight' is missing"),
        (IMAGE, mixed, "image_adapter: 'seg_proj.3.fc.weight' is unknown"),
        (IMAGE, drop("image_adapter", LAYER.format(0)), f"'{LAYER.format(0)}' is missing"),
        (IMAGE, drop("image_adapter", LAYER.format(2)), f"'{LAYER.format(3)}' is unknown"),
        (IMAGE, deep, f"'{LAYER.format(24)}' belongs to no block: this tower has 24"),
        (IMAGE, put("image_adapter", SEG, torch.zeros(97, 128)), rf"'{SEG}' is \(97, 128\) .* \(96, 128\)"),
        (
            IMAGE,
            put("image_adapter", SEG, torch.full((96, 128), torch.inf)),
            f"'{SEG}' has values that are not",
        ),
        (
            TEXT_ADAPTER,
            drop("text_adapter", "3.fc.0.weight"),
            r"'2.fc.0.weight' is \(128, 128\) .* \(96, 128\)",
        ),
        (TEXT_ADAPTER, put("text_adapter", "x", torch.zeros(2)), "text_adapter: 'x' is unknown"),
    ],
)
def test_a_damaged_checkpoint_is_refused(golden, tmp_path, file, change, message):
    path = checkpoints.changed(file, tmp_path, change)
    option = "image_adapter" if file == IMAGE else "text_adapter"
    with pytest.raises(BundleError, match=message) as error:
        build(golden, tmp_path, **{option: path})
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"image_adapter": TEXT_ADAPTER},
            "'image_adapter' is missing.* looks like .* aa_clip, the text adapter",
        ),
        ({"text_adapter": IMAGE}, "'text_adapter' is missing.* looks like .* aa_clip, the image adapter"),
        ({"image_adapter": DATA / "golden_mvfa_ckpt.pth"}, "looks like a checkpoint of mvfa"),
        ({"image_adapter": None}, "image_adapter: aa_clip needs the image adapter's checkpoint"),
        ({"image_size": 55, "domain": "medical"}, "image_size: 55 has less than 5 patches of 14 px a side"),
        ({"domain": "space"}, "domain: 'space' given; 'industrial' or 'medical' is needed"),
        ({"image_adapt_weight": 2}, "image_adapt_weight: 2 given; input should be less than or equal to 1"),
        ({"tap_blocks": (6, 12)}, "tap_blocks: 2 given, where the checkpoint has 4 levels"),
        ({"references": torch.zeros(1, 3, 98, 98)}, "references: aa_clip has no such option"),
        ({"class_name": None}, "class_name: aa_clip needs the name"),
    ],
)
def test_wrong_settings(golden, tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(golden, tmp_path, **options)
    assert not list(tmp_path.iterdir())
