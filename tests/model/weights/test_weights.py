"""One CLIP in every format, its features against open_clip's own model, and files that are refused."""

import json
import os
import pickle

import pytest
import torch

from s2sw.model.errors import BundleError
from s2sw.model.towers.patches import resize_positions
from s2sw.model.towers.tokenizer import tokens
from s2sw.model.weights.clip import clip_from_tensors, read_clip
from s2sw.model.weights.load_options import LoadOptions
from s2sw.model.weights.openclip import find_clip
from tests.support import small_clip

CONFIG = {
    "model_cfg": {
        "quick_gelu": True,
        "vision_cfg": {"width": 64, "head_width": 32, "layers": 4},
        "text_cfg": {"heads": 2},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture(scope="module")
def tensors():
    return small_clip.state_dict()


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def features(clip, images):
    tower = clip.vision_tower()
    with torch.inference_mode():
        x, _ = tower.plain(tower.embed(images))
        return tower.project(x[:, 0]), clip.text_tower().encode_tokens(tokens(["a cat", "a damaged bottle."]))


def save(form, tensors, folder):
    path = folder / ("clip.pt" if form in ("torchscript", "plain", "checkpoint") else "clip.safetensors")
    if form == "torchscript":
        small_clip.save_torchscript(tensors, path)
    elif form == "plain":
        torch.save(tensors, path)
    elif form == "checkpoint":
        torch.save({"epoch": 3, "state_dict": {f"module.{n}": t for n, t in tensors.items()}}, path)
    elif form == "open_clip":
        small_clip.save_safetensors(tensors, path)
    elif form == "custom_text":
        visual = ("visual.", "logit")
        named = {n if n.startswith(visual) else f"text.{n}": t for n, t in tensors.items()}
        small_clip.save_safetensors(named, path)
    else:
        small_clip.save_safetensors(small_clip.huggingface(tensors), path)
    return path


FORMS = ["torchscript", "plain", "checkpoint", "open_clip", "custom_text", "huggingface"]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_features(form, tensors, images, tmp_path):
    found = features(read_clip(save(form, tensors, tmp_path)), images)
    expected = features(clip_from_tensors(tensors, "memory", LoadOptions("quick_gelu")), images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(("grid", "patch", "layers"), [(3, 8, 4), (7, 4, 2), (2, 14, 3)])
def test_features_equal_open_clip(quick, grid, patch, layers):
    """B/32, B/16, L/14, H/14 and the rest differ in nothing but these numbers."""
    from open_clip import tokenize  # here: slow to import, in every process of the tests
    from open_clip.model import CLIP

    state = small_clip.state_dict(seed=grid, grid=grid, patch=patch, vision_layers=layers)
    vision = {
        "image_size": grid * patch,
        "layers": layers,
        "width": 64,
        "patch_size": patch,
        "head_width": 64,
    }
    text = {"width": 64, "heads": 1, "layers": small_clip.TEXT_LAYERS}
    theirs = CLIP(small_clip.JOINT, vision, text, quick_gelu=quick).eval()
    theirs.load_state_dict(state)
    x = torch.randn(2, 3, grid * patch, grid * patch, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = (
            theirs.encode_image(x),
            theirs.encode_text(tokenize(["a cat", "a damaged bottle."])),
        )
    clip = clip_from_tensors(state, "memory", LoadOptions("quick_gelu" if quick else "gelu"))
    for one, other in zip(features(clip, x), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_tokens_equal_open_clip():
    from open_clip import tokenize  # here: slow to import, in every process of the tests

    texts = ["a photo of the flawless object.", "crack scratch dent", "X X X, (odd) text's  spaces"]
    torch.testing.assert_close(tokens(texts), tokenize(texts))


@pytest.mark.parametrize(("how", "antialias"), [("bilinear", False), ("bicubic", True)])
def test_positions(how, antialias):
    positions = torch.randn(26, 8, generator=torch.Generator().manual_seed(2))
    found = resize_positions(positions, 7, how)
    torch.testing.assert_close(found[0], positions[0])
    for channel in range(8):
        image = positions[1:, channel].reshape(1, 1, 5, 5)
        expected = torch.nn.functional.interpolate(image, size=(7, 7), mode=how, antialias=antialias)
        torch.testing.assert_close(found[1:, channel], expected.flatten())
    assert resize_positions(positions, 5, how) is positions


def test_configuration_beside_the_weights(tensors, tmp_path):
    path = save("open_clip", tensors, tmp_path)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(CONFIG))
    clip = read_clip(path)
    assert (clip.vision.heads, clip.text.heads) == (2, 2)
    assert clip.normalisation == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert clip.vision.activation == "quick_gelu"


def test_activation_of_each_source(tensors, tmp_path):
    assert read_clip(save("torchscript", tensors, tmp_path)).vision.activation == "quick_gelu"
    path = save("huggingface", tensors, tmp_path)
    assert read_clip(path).vision.activation == "quick_gelu"
    vision = {"hidden_act": "gelu", "num_attention_heads": 2}
    (tmp_path / "config.json").write_text(
        json.dumps({"vision_config": vision, "text_config": {"num_attention_heads": 1}})
    )
    assert read_clip(path).vision.activation == "gelu"
    assert read_clip(path, LoadOptions("quick_gelu")).vision.activation == "quick_gelu"


def test_laion_widths_are_gelu():
    state = {n: t for n, t in small_clip.state_dict(width=64).items() if not n.startswith("visual.conv1")}
    state["visual.conv1.weight"] = torch.zeros(1280, 3, 8, 8)
    shape = clip_from_tensors(state, "memory").vision
    assert (shape.activation, shape.heads) == ("gelu", 16)


def both_towers(tensors):
    clip = clip_from_tensors(tensors, "clip.pt", LoadOptions("quick_gelu"))
    return clip.vision_tower(), clip.text_tower()


def changed(tensors, **replaced):
    return {n: t for n, t in (tensors | replaced).items() if t is not None}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("visual.proj", None, "'visual.proj' is missing"),
        ("visual.transformer.resblocks.1.ln_2.bias", None, "'transformer.resblocks.1.ln_2.bias' is missing"),
        ("ln_final.weight", None, "'ln_final.weight' is missing"),
        ("visual.ln_pre.weight", torch.zeros(65), r"'ln_pre.weight' is \(65,\) where"),
        ("visual.attn_pool.query", torch.zeros(3), "'attn_pool.query' belongs to no plain CLIP ViT"),
        ("decoder.weight", torch.zeros(3), "'decoder.weight' belongs to no plain CLIP ViT"),
        ("visual.positional_embedding", torch.zeros(9, 64), "9 rows"),
    ],
)
def test_wrong_tensors_are_named(tensors, name, value, message):
    with pytest.raises(BundleError, match=message) as error:
        both_towers(changed(tensors, **{name: value}))
    assert "clip.pt" in str(error.value)
    assert "\n" not in str(error.value)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_no_code_in_a_file_is_run(protocol, tmp_path):
    protocol({"visual.proj": Trap(tmp_path / "ran")}, tmp_path / "trap.pt")
    with pytest.raises(BundleError, match="anything but tensors are refused"):
        read_clip(tmp_path / "trap.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.pt", b"", "not a readable file"),
        ("cut.pt", b"PK\x03\x04 cut", "not a readable file"),
        ("noise.safetensors", b"\x10" * 200, "not a readable file"),
    ],
)
def test_broken_files(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=message):
        read_clip(tmp_path / name)


@pytest.mark.parametrize("value", [[1, 2], {"a": 3}, {"state_dict": 4}, torch.zeros(2)])
def test_other_content(value, tmp_path):
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(BundleError):
        read_clip(tmp_path / "x.pt")


def test_names():
    with pytest.raises(BundleError, match="is no file"):
        find_clip("nowhere/clip.pt", LoadOptions())
    with pytest.raises(BundleError, match="open_clip knows no ViT-L-14/nobody; tags of ViT-L-14: openai"):
        find_clip("ViT-L-14/nobody", LoadOptions())
    with pytest.raises(BundleError, match="no plain ViT"):
        find_clip("RN50/openai", LoadOptions())


def test_name_not_cached_and_offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match="not in open_clip's cache and cannot be downloaded"):
        find_clip("ViT-B-32/openai", LoadOptions())


def test_name_in_the_cache(tensors, tmp_path, monkeypatch):
    """The activation comes from open_clip's entry for the tag, not from the file."""
    path = save("open_clip", tensors, tmp_path)
    monkeypatch.setattr("open_clip.download_pretrained", lambda *_: str(path))
    assert find_clip("ViT-B-32/openai", LoadOptions()).vision.activation == "quick_gelu"
    laion = find_clip("ViT-B-32/laion2b_s34b_b79k", LoadOptions())
    assert laion.vision.activation == "gelu"
    assert laion.vision.heads == 12
