"""AF-CLIP against what its released program computes, and against its definition at other sizes."""

import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.af_clip import AfClip, read_adaptor, read_prompt, text_features
from s2sw.model.errors import BundleError
from s2sw.model.heads.neighbourhoods import Neighbourhoods
from tests.support import checkpoints, small_clip
from tests.support.family import random, two_widths
from tests.support.golden import DATA
from tests.support.golden_family import case

PROMPT, ADAPTOR = DATA / "golden_afclip_prompt.pt", DATA / "golden_afclip_adaptor.pt"
TEXT, TOKEN, ZERO, FEW = 1e-5, 1e-4, 1e-5, 2e-6


@pytest.fixture(scope="module")
def golden():
    return case("afclip")


def build(golden, folder, **options):
    given = {"prompt": PROMPT, "adaptor": ADAPTOR, "image_size": golden.size} | options
    return build_bundle(folder / "bundle", golden.clip, detector="af_clip", **given)


@pytest.fixture(scope="module")
def bundles(golden, tmp_path_factory):
    return {
        "zero": build(golden, tmp_path_factory.mktemp("zero")),
        "few": build(golden, tmp_path_factory.mktemp("few"), references=golden.references),
    }


@pytest.fixture(scope="module")
def detectors(bundles):
    found = {name: load_detector(folder) for name, folder in bundles.items()}
    assert all(isinstance(one, AfClip) for one in found.values())
    return found


def with_class(around, tokens):
    """Tokens (B, 1 + g * g, W) at each scale; the class token stays as it is."""
    return [torch.cat([tokens[:, :1], patches], dim=1) for patches in around.patches(tokens[:, 1:])]


def test_text_tokens_logits_and_distances(golden, detectors):
    text = text_features(golden.clip.text_tower(), read_prompt(PROMPT, golden.clip))
    assert golden.error("text", text) < TEXT
    zero, few = detectors["zero"], detectors["few"]
    weights = read_adaptor(ADAPTOR, golden.clip)
    with torch.inference_mode():
        taps = zero.taps(golden.images)
        several = [tokens for tap in taps for tokens in with_class(zero.around, tap)]
        logits = [one for tap in taps for one in zero.logits(tap)]
        near = few.distances(taps, torch.zeros(2, dtype=torch.int64))
        for number, tokens in enumerate(several):
            if f"raw_{number}" in golden.arrays:
                assert golden.error(f"raw_{number}", tokens[:1]) < TOKEN
            plain = adapted(tokens, weights)
            if f"adapted_{number}" in golden.arrays:
                assert golden.error(f"adapted_{number}", plain[:1]) < TOKEN
            cosines = functional.normalize(zero.tower.project(plain), dim=-1) @ zero.vectors.T
            torch.testing.assert_close(0.07 * logits[number], cosines, rtol=0, atol=FEW)
            assert golden.error(f"logit_{number}", logits[number]) < TOKEN
            assert golden.error(f"few_distance_{number}", near[:, number].reshape(2, 7, 7)) < FEW


@pytest.mark.parametrize(("name", "tolerance"), [("zero", ZERO), ("few", FEW)])
def test_scores_and_maps(golden, detectors, name, tolerance):
    detector = detectors[name]
    score, full = detector.raw(golden.images)
    assert golden.error(f"{name}_image_score", score) < tolerance
    assert golden.error(f"{name}_anomaly_map", full) < tolerance
    out, largest = detector.detect_normalized(golden.images), 1.1 if name == "few" else 1
    assert golden.error(f"{name}_token_map", largest * out.token_map) < tolerance
    torch.testing.assert_close(largest * out.score, score)
    assert golden.error("text_image", out.family_scores[:, 0]) < ZERO
    if name == "few":
        assert detector.family_names == ("text", "few_shot")
        assert golden.error("few_memory_image", out.family_scores[:, 1]) < FEW


def test_pictures_that_are_not_square(golden, detectors, tmp_path):
    pictures, normal = (torch.from_numpy(golden.arrays[f"uint8_{name}"]) for name in ("images", "references"))
    few = load_detector(build(golden, tmp_path, references=normal))
    for name, detector, tolerance in (("zero", detectors["zero"], ZERO), ("few", few, FEW)):
        out = detector.detect(pictures)
        assert golden.error(f"uint8_{name}_image_score", detector.published_score * out.score) < tolerance
        full = detector.published_map * detector.full_map(out.token_map)
        assert golden.error(f"uint8_{name}_anomaly_map", full) < tolerance


@pytest.mark.parametrize("name", ["zero", "few"])
def test_bf16_agrees_and_a_batch_is_its_pictures(golden, bundles, detectors, name):
    full = detectors[name].detect_normalized(golden.images)
    half = load_detector(bundles[name], precision="bf16").detect_normalized(golden.images)
    assert (full.score - half.score).abs().max() < 0.02
    assert (full.token_map - half.token_map).abs().max() < 0.02
    alone = detectors[name].detect_normalized(golden.images[1:])
    for field in ("score", "family_scores", "token_map"):
        assert torch.equal(getattr(alone, field), getattr(full, field)[1:])
    with torch.inference_mode():  # as a GPU runs it
        together = detectors[name].score(golden.images, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(together.image, full.score, rtol=0, atol=5e-5)


def test_a_picture_of_the_memory_is_at_no_distance(golden, detectors):
    found = detectors["few"].detect_normalized(golden.references)
    assert found.family_scores[:, 1].max() < 1e-6


def test_other_sizes_are_the_definition(tmp_path):
    """Text and visual towers of different widths, three taps, two kinds of references."""
    clip, side, grid = two_widths(), small_clip.PATCH * 5 + 2, 5
    weights, prompt = checkpoints.af_clip_adaptor(clip), checkpoints.af_clip_prompt(clip)
    normal = {name: random(2, 3, side, side, seed=seed) for seed, name in enumerate(("bolt", "nut"))}
    made = build_bundle(
        tmp_path / "b", clip, detector="af_clip", image_size=side, references=normal, tap_blocks=(2, 5, 6),
        prompt=checkpoints.saved(nn.Parameter(prompt), tmp_path / "prompt.pt"),
        adaptor=checkpoints.saved(weights, tmp_path / "adaptor.pt"),
    )  # fmt: skip
    detector = load_detector(made)
    assert detector.class_names == ("bolt", "nut")
    x, names = random(2, 3, side, side, seed=9), ["nut", "bolt"]
    score, full = detector.raw(x, names)
    with torch.inference_mode():
        text = functional.normalize(text_features(clip.text_tower(), prompt[0]), dim=-1)
        for row, name in enumerate(names):
            logits, near = 0, []
            memory = token_sets(detector, normal[name], grid)
            for tokens, known in zip(token_sets(detector, x[row : row + 1], grid), memory, strict=True):
                u = functional.normalize(detector.tower.project(adapted(tokens, weights)), dim=-1)
                logits = logits + u @ text.T / 0.07
                q, m = (functional.normalize(t[:, 1:].flatten(0, 1), dim=-1) for t in (tokens, known))
                near.append((1 - q @ m.T).amin(dim=1) / 2)
            share, distance = logits.softmax(dim=-1)[0, :, 1], torch.stack(near).mean(dim=0)
            torch.testing.assert_close(score[row], distance.max() + 0.1 * share[0], rtol=0, atol=1e-4)
            token_map = (distance + 0.1 * share[1:]).reshape(grid, grid)
            expected = detector.full_map(token_map[None])[0]
            torch.testing.assert_close(full[row], expected, rtol=0, atol=1e-4)


def token_sets(detector, x, grid):
    """Each tap at each scale, by convolution."""
    h = detector.tower.ln_pre(detector.tower.embed(x))
    found = []
    for number, block in enumerate(detector.tower.transformer, 1):
        h = block(h)
        if number in detector.tap_blocks:
            found.append(h)
            for reach in (1, 2):
                steps = torch.arange(-reach, reach + 1.0)
                kernel = torch.exp(-(steps[:, None] ** 2 + steps**2) / 32)
                kernel = (kernel / kernel.sum()).expand(h.shape[-1], 1, -1, -1)
                square = h[:, 1:].mT.reshape(len(h), -1, grid, grid)
                wide = functional.conv2d(square, kernel, padding=reach, groups=h.shape[-1])
                found.append(torch.cat([h[:, :1], wide.flatten(2).mT], dim=1))
    return found


def adapted(tokens, weights):
    """The adaptor by torch's own layers."""
    width = tokens.shape[-1]
    at = "attention.attn."
    normed = functional.layer_norm(
        tokens, (width,), weights["attention.norm.weight"], weights["attention.norm.bias"]
    )
    q, k, v = (
        (normed @ weights[f"{at}to_{x}.weight"].T).unflatten(-1, (8, 64)).transpose(1, 2) for x in "qkv"
    )
    mixed = ((q @ k.mT / 8).softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
    return mixed @ weights[f"{at}to_out.0.weight"].T + weights[f"{at}to_out.0.bias"]


def test_neighbourhoods_keep_the_class_token_and_take_zeros_beyond_the_grid():
    tokens = torch.ones(1, 17, 3)
    one, three, five = with_class(Neighbourhoods(4, torch.device("cpu")), tokens)
    assert torch.equal(one, tokens)
    assert torch.equal(three[:, 0], tokens[:, 0])
    assert three[0, 6, 0] == pytest.approx(1)  # inside
    assert three[0, 1, 0] < 0.5  # a corner: four of nine
    assert five[:, 1:].max() < 1


class CrossAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale, self.heads = 0.5, 3  # need not be believed
        for name in ("to_q", "to_k", "to_v"):
            setattr(self, name, nn.Linear(width, 512, bias=False))
        self.to_out = nn.Sequential(nn.Linear(512, width), nn.Dropout(0.0))


class BasicTransformerBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.attn = nn.LayerNorm(width), CrossAttention(width)


class Adaptor(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = BasicTransformerBlock(width)


@pytest.fixture
def released_names(monkeypatch):
    """Pickle the classes above under the names of the released program."""
    module = types.ModuleType("clip.adaptor")
    for kind in (Adaptor, BasicTransformerBlock, CrossAttention):
        monkeypatch.setattr(kind, "__module__", "clip.adaptor")
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "clip", types.ModuleType("clip"))
    monkeypatch.setitem(sys.modules, "clip.adaptor", module)


def test_a_pickled_module_is_read_without_its_classes(released_names, golden, tmp_path, monkeypatch):
    module = Adaptor(golden.clip.vision.width)
    path = checkpoints.saved(module, tmp_path / "adaptor.pt")
    monkeypatch.setattr(nn.Module, "__setstate__", lambda self, state: pytest.fail("the module was made"))
    found = read_adaptor(path, golden.clip)
    assert found.keys() == module.state_dict().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in module.state_dict().items())


def test_any_other_class_is_refused_unread(released_names, golden, tmp_path):
    module = Adaptor(golden.clip.vision.width)
    module.attention.extra = nn.GELU()
    path = checkpoints.saved(module, tmp_path / "adaptor.pt")
    with pytest.raises(BundleError, match=r"adaptor\.pt: not a readable file of tensors"):
        read_adaptor(path, golden.clip)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("attention.attn.to_k.weight"), "'attention.attn.to_k.weight' is missing.* af_clip"),
        (lambda c: c.update(x=torch.zeros(1)), "'x' is unknown"),
        (
            lambda c: c.update({"attention.attn.to_q.weight": torch.zeros(256, 128)}),
            r"to_q.weight' is \(256, 128\) where .* call for \(512, 128\)",
        ),
        (lambda c: c["attention.norm.bias"].fill_(torch.nan), "'attention.norm.bias' has values that"),
    ],
)  # fmt: skip
def test_a_damaged_adaptor_is_refused(golden, tmp_path, change, message):
    found = read_adaptor(ADAPTOR, golden.clip)
    change(found)
    with pytest.raises(BundleError, match=message) as error:
        build(golden, tmp_path, adaptor=checkpoints.saved(found, tmp_path / "a.pt"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (torch.zeros(12, 128), r"the tensor is \(12, 128\), where \(1, n, 128\) with n of 1 to 72 is needed"),
        (torch.zeros(1, 73, 128), "with n of 1 to 72"),
        (torch.zeros(1, 12, 127), r"\(1, 12, 127\)"),
        (torch.full((1, 12, 128), torch.nan), "no finite floating-point numbers"),
        (torch.zeros(1, 12, 128, dtype=torch.int32), "no finite floating-point numbers"),
        ({"prompt_learner": {}}, "holds a dict, where one tensor .* looks like .* anomalyclip"),
    ],
)
def test_a_damaged_prompt_is_refused(golden, tmp_path, prompt, message):
    path = checkpoints.saved(prompt, tmp_path / "prompt.pt")
    with pytest.raises(BundleError, match=message):
        build(golden, tmp_path, prompt=path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptor": PROMPT}, "holds a Tensor, where an adaptor is needed"),
        ({"prompt": ADAPTOR}, "not a readable file of tensors"),
        ({"adaptor": DATA / "golden_mvfa_ckpt.pth"}, "'seg_adapters' is unknown; .* looks like .* mvfa"),
        ({"prompt": None}, "prompt: af_clip needs the learned vectors"),
        ({"class_name": "nut"}, "class_name: it is for references; also give references"),
        ({"references": torch.zeros(0, 3, 98, 98)}, "references: no picture; give some"),
        ({"tap_blocks": (6, 25)}, "tap_blocks .* up to 24"),
    ],
)
def test_wrong_settings(golden, tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(golden, tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_without_class_names_the_record_has_none(bundles):
    assert all(read_record(folder).class_names == () for folder in bundles.values())
