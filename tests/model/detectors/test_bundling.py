"""Bundles: what is in them, what is refused, and one error for each wrong setting."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.errors import BundleError
from s2sw.model.prompts.learned import LearnedPrompts, read_prompts
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import small_clip
from tests.support.golden import DATA, golden

SIDE = small_clip.PATCH * 5


@pytest.fixture(scope="module")
def clip():
    return clip_from_tensors(small_clip.state_dict(), "folder/small.pt", LoadOptions("quick_gelu"))


@pytest.fixture(scope="module")
def learned():
    generator = torch.Generator().manual_seed(3)
    vectors = [torch.randn(3, small_clip.WIDTH, generator=generator) for _ in range(2)]
    return LearnedPrompts(vectors[0], vectors[1], ())


@pytest.fixture
def built(clip, learned, tmp_path):
    return build_bundle(tmp_path / "bundle", clip, prompts=learned, image_size=SIDE)


def test_is_self_contained_and_without_text_tower(built, clip):
    tensors = load_file(built / "weights.safetensors")
    assert set(tensors) == {n for n in clip.tensors if n.startswith("visual.")} | {"class_vectors"}
    assert tensors["class_vectors"].shape == (4, 2, small_clip.JOINT)
    assert sorted(p.name for p in built.iterdir()) == ["bundle.json", "weights.safetensors"]
    assert [p.name for p in built.parent.iterdir()] == ["bundle"]
    record = json.loads((built / "bundle.json").read_text())
    assert record["clip"] == "small.pt"
    assert record["settings"] == {
        "mix": [0.9, 0.1], "taps": "released", "two_stream_from": 1, "tap_blocks": [4],
    }  # fmt: skip


def test_face(built):
    detector = load_detector(built)
    assert (detector.name, detector.image_size, detector.grid) == ("s2swclip", SIDE, 5)
    assert (detector.prompts, detector.trained) == ("learned", True)
    out = detector.detect(np.zeros((2, 30, 50, 3), np.uint8))
    assert (out.score.shape, out.family_scores.shape, out.token_map.shape) == ((2,), (2, 4), (2, 5, 5))
    assert {t.dtype for t in (out.score, out.family_scores, out.token_map)} == {torch.float32}
    full = detector.full_map(out.token_map)
    assert full.shape == (2, SIDE, SIDE)
    as_array = detector.full_map(out.token_map.numpy(), size=(30, 50))
    np.testing.assert_allclose(as_array, detector.full_map(out.token_map, size=(30, 50)), atol=1e-6)
    nothing = detector.detect(np.zeros((0, 30, 50, 3), np.uint8))
    assert (nothing.score.shape, nothing.token_map.shape) == ((0,), (0, 5, 5))
    with pytest.raises(ValueError, match="takes"):
        detector.detect_normalized(torch.zeros(1, 3, 8, 8))


def test_fingerprint_follows_what_changes_results(clip, learned, tmp_path):
    def fingerprint(name, **options):
        made = {"prompts": learned, "image_size": SIDE} | options
        return read_record(build_bundle(tmp_path / name, clip, **made)).fingerprint

    first = fingerprint("first")
    assert first == fingerprint("again")
    assert first == fingerprint("renamed", trained=False)
    others = {
        fingerprint("mix", mix=(0.5, 0.5)),
        fingerprint("taps", taps="per_layer"),
        fingerprint("side", image_size=SIDE + 16),
        fingerprint("start", two_stream_from=2),
        fingerprint("prompts", prompts=LearnedPrompts(learned.anomalous, learned.normal, ())),
        fingerprint("activation", activation="gelu"),
    }
    assert len(others) == 6
    assert first not in others


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_any_changed_byte_is_refused(built, name):
    path = built / name
    content = path.read_bytes()
    for position in np.random.default_rng(0).choice(len(content), 24, replace=False):
        path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(BundleError):
            load_detector(built)
    path.write_bytes(content + b" ")
    with pytest.raises(BundleError):
        load_detector(built)
    path.unlink()
    with pytest.raises(BundleError, match=f"no {name}"):
        load_detector(built)


def test_edited_record(built):
    """A person who edits a setting is told so, also when the file is still valid."""
    path = built / "bundle.json"
    path.write_text(path.read_text().replace('"trained": true', '"trained": false'))
    with pytest.raises(BundleError, match="changed after it was built"):
        load_detector(built)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 48}, "image_size: 48 gives 6 patches of 8 px a side, .* take 40 or 56"),
        ({"image_size": 4}, "image_size: 4 is below one patch of 8 px"),
        ({"mix": (0.9, 0.2)}, r"mix: \(0.9, 0.2\) given; two weights"),
        ({"taps": "all"}, "taps: 'all' given; 'released' or 'per_layer'"),
        ({"tap_blocks": (2, 9)}, r"tap_blocks \(2, 9\) from block 1 on: .* up to 4"),
        ({"two_stream_from": 3, "tap_blocks": (2, 4)}, "tap_blocks"),
        ({"detector": "nobody"}, "detector: 'nobody' is unknown; known are .*s2swclip"),
        ({"activation": "relu"}, "activation: 'relu' given"),
        ({"class_name": "bottle"}, "class_name: s2swclip has no such option"),
        ({"prompts": "nowhere.pth"}, "nowhere.pth: no such file"),
    ],
)
def test_wrong_settings(clip, learned, tmp_path, options, message):
    made = {"prompts": learned, "image_size": SIDE} | options
    with pytest.raises(BundleError, match=message):
        build_bundle(tmp_path / "bundle", clip, **made)
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_kept(clip, learned, built):
    with pytest.raises(BundleError, match="exists and is not empty"):
        build_bundle(built, clip, prompts=learned, image_size=SIDE)
    load_detector(built)


def test_device_that_is_not_there(built):
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(BundleError, match="no CUDA device is visible"):
        load_detector(built, device="cuda")


def test_per_layer_taps_scale_with_the_depth(clip, learned, tmp_path):
    out = build_bundle(tmp_path / "b", clip, prompts=learned, image_size=SIDE, taps="per_layer")
    assert read_record(out).settings["tap_blocks"] == [1, 2, 3, 4]


def test_input_normalisation_is_the_weights_own(clip, learned, tmp_path):
    half = (0.5, 0.5, 0.5)
    other = clip_from_tensors(clip.tensors, "other", LoadOptions("quick_gelu", mean=half, std=half))
    detector = load_detector(build_bundle(tmp_path / "b", other, prompts=learned, image_size=SIDE))
    images = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(detector.detect(images).score, detector.detect_normalized(x).score)


def test_handwritten(clip, tmp_path):
    detector = load_detector(build_bundle(tmp_path / "b", clip, image_size=SIDE, prompts="handwritten"))
    assert detector.prompts == "handwritten"
    score = detector.detect(np.zeros((1, SIDE, SIDE, 3), np.uint8)).score
    assert 0 < float(score) < 1


def test_authors_checkpoint_words_are_ours():
    """Embedding the families' words ourselves gives what the checkpoint's own buffers hold."""
    case = golden("a")
    tower = case.clip.text_tower()
    theirs = read_prompts(DATA / "golden_a_prompts.pth", case.meta["width"])
    ours = LearnedPrompts(theirs.normal, theirs.anomalous, theirs.deep)
    for family in ("object", "state", "defect"):
        (prompts, end), (expected, expected_end) = (p.assemble(family, tower) for p in (ours, theirs))
        torch.testing.assert_close(end, expected_end)
        torch.testing.assert_close(prompts, expected)


def test_prompts_in_safetensors_and_without_buffers(tmp_path):
    case = golden("a")
    found = torch.load(case.prompts, weights_only=True)["prompt_learner"]
    kept = {n: t for n, t in found.items() if n.startswith(("ctx_", "compound_prompts_text."))}
    save_file(kept, tmp_path / "p.safetensors")
    tower = case.clip.text_tower()
    ours = read_prompts(tmp_path / "p.safetensors", case.meta["width"]).features(tower)
    theirs = read_prompts(case.prompts, case.meta["width"]).features(tower)
    for family, expected in theirs.items():
        torch.testing.assert_close(ours[family], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("ctx_neg"), "entry 'ctx_neg' is missing"),
        (lambda p: p.update(ctx_pos=torch.zeros(1, 1, 14, 7)), "ctx_pos is 7 wide where .* is 128"),
        (lambda p: p.update(ctx_pos=torch.zeros(1, 1, 9, 128)), "have 9 and 14 vectors"),
        (lambda p: p.pop("token_suffix_neg_emo"), "entry 'token_suffix_neg_emo' is missing"),
        (lambda p: p.pop("compound_prompts_text.3"), "numbered from 0"),
        (lambda p: p.update(note="hello"), "tensors alone"),
    ],
)
def test_wrong_prompts(change, message, tmp_path):
    learner = dict(torch.load(golden("a").prompts, weights_only=True)["prompt_learner"])
    change(learner)
    torch.save({"prompt_learner": learner}, tmp_path / "p.pth")
    with pytest.raises(BundleError, match=message) as error:
        read_prompts(tmp_path / "p.pth", 128)
    assert re.match(rf"^{re.escape(str(tmp_path))}.*p\.pth: .*$", str(error.value))
