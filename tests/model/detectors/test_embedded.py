"""The embedded detector: what the package ships, and that it finds defects of kinds it was not trained on."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from s2sw.model import load_detector
from s2sw.model.detectors.embedded import SHIPPED, embedded_bundle
from s2sw.model.embedded_training.check import auroc
from s2sw.model.embedded_training.ring import draw_scenes
from s2sw.model.synthetic.scenes import held_out_mixture

PICTURES = 96
LARGEST = 25 * 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return embedded_bundle(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def detector(folder):
    return load_detector(folder)


def test_is_built_once(folder):
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert embedded_bundle(folder.parent) == folder
    assert before == {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(list(folder.parent.iterdir())) == 1


def test_says_what_it_is(detector):
    assert (detector.name, detector.image_size, detector.grid) == ("s2swclip", 240, 15)
    assert detector.trained
    assert "generated pictures" in detector.prompts
    assert SHIPPED.stat().st_size < LARGEST
    assert "Apache License" in SHIPPED.with_name("NOTICE").read_text()


def test_bundle_holds_the_shipped_numbers(folder):
    shipped, bundled = load_file(SHIPPED), load_file(folder / "weights.safetensors")
    assert shipped.keys() == bundled.keys()
    assert all(torch.equal(tensor.float(), bundled[name]) for name, tensor in shipped.items())


def test_finds_defects_of_kinds_it_was_not_trained_on(detector):
    """Measured: 0.923 and 0.883. A detector that its weights do not fit comes down towards 0.5."""
    scenes = draw_scenes(np.random.default_rng(11), held_out_mixture(0.5), PICTURES)
    out = detector.detect(np.stack([scene.picture for scene in scenes]))
    assert auroc(out.score, torch.arange(PICTURES) % 2) > 0.85
    maps = detector.full_map(out.token_map)
    masks = torch.from_numpy(np.stack([scene.mask for scene in scenes]))
    assert auroc(maps.flatten(), masks.flatten()) > 0.82
