"""DINOv2 alone: distances as AnomalyDINO takes them, to normal pictures or within the picture."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.dino import HIGHEST
from s2sw.model.errors import BundleError
from tests.support.tiny_dinov2 import GRID, LAYERS, WIDTH, save_original, tiny_dinov2

SIDE = 14 * 7


def pictures(seed, count=2, side=SIDE):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def built(folder, weights=None, **options):
    made = {"image_size": SIDE, "trained": False} | options
    return build_bundle(folder / "bundle", detector="dino", stem=weights or tiny_dinov2(), **made)


@pytest.mark.parametrize("registers", [0, 4])
def test_with_normal_pictures_it_is_the_distance_to_their_nearest_patch(tmp_path, registers):
    weights = tiny_dinov2(registers)
    detector = load_detector(built(tmp_path, weights, tap_blocks=(2, 4), references=pictures(1, 3)))
    assert (detector.name, detector.family_names, detector.grid) == ("dino", ("few_shot",), 7)
    x = detector.prepare(pictures(5))
    known, shown = detector.patch_features(detector.prepare(pictures(1, 3))), detector.patch_features(x)
    assert [name for name, _ in shown] == ["block_2", "block_4"]
    wanted = []
    for (_, memory), (_, patches) in zip(known, shown, strict=True):
        rows = functional.cosine_similarity(patches[:, :, None], memory.reshape(1, 1, -1, WIDTH), dim=-1)
        wanted.append((1 - rows.amax(dim=-1)) / 2)
    tokens = torch.stack(wanted).mean(dim=0)
    out = detector.detect_normalized(x)
    torch.testing.assert_close(out.token_map, tokens.reshape(2, 7, 7), atol=1e-5, rtol=1e-4)
    assert round(HIGHEST * 49) == 0  # of so few patches one is the highest hundredth
    torch.testing.assert_close(out.score, out.token_map.flatten(1).amax(dim=1))
    assert detector.detect(pictures(1, 3)).score.max() < 1e-5  # what is remembered is normal


def test_the_published_norm_follows_the_last_block_alone(tmp_path):
    weights = tiny_dinov2()
    detector = load_detector(built(tmp_path, weights, tap_blocks=(LAYERS - 1, LAYERS)))
    before, last = (patches for _, patches in detector.patch_features(detector.prepare(pictures(0))))
    assert last.shape == (2, 49, WIDTH)
    torch.testing.assert_close((last - 0.5).mean(dim=-1), torch.zeros(2, 49), atol=1e-4, rtol=0)
    torch.testing.assert_close(last.std(dim=-1, correction=0), torch.full((2, 49), 2.0), atol=1e-2, rtol=0)
    assert float(before.std()) != pytest.approx(2.0, abs=0.1)


def test_without_normal_pictures_an_odd_patch_stands_out(tmp_path):
    detector = load_detector(built(tmp_path))
    assert detector.family_names == ("unlike",)
    plain = np.full((1, SIDE, SIDE, 3), 90, np.uint8)
    plain[:, ::2, ::2] = 120
    odd = plain.copy()
    odd[:, 28:42, 56:70] = pictures(3, 1, 14)
    even, spoilt = detector.detect(plain), detector.detect(odd)
    assert float(spoilt.score) > float(even.score)
    assert int(spoilt.token_map[0].argmax()) == 2 * 7 + 4


def test_a_batch_is_its_pictures_to_the_bit(tmp_path):
    detector = load_detector(built(tmp_path, references=pictures(1)))
    together = detector.detect(pictures(6, 3))
    for row in range(3):
        alone = detector.detect(pictures(6, 3)[row : row + 1])
        assert torch.equal(alone.score, together.score[row : row + 1])
        assert torch.equal(alone.token_map, together.token_map[row : row + 1])


@pytest.mark.usefixtures("bf16_everywhere")
def test_bf16_agrees(tmp_path):
    folder = built(tmp_path, references=pictures(1))
    full, half = (load_detector(folder, precision=p).detect(pictures(6)) for p in ("fp32", "bf16"))
    assert float((full.token_map - half.token_map).abs().max()) < 2e-2


def test_a_weights_file_is_read_and_named(tmp_path):
    path = tmp_path / "dinov2_tiny.safetensors"
    weights = tiny_dinov2()
    save_original(weights, path)
    detector = load_detector(built(tmp_path, path))
    assert detector.record.clip == path.name
    assert detector.record.vision.grid == GRID
    memory = load_detector(build_bundle(tmp_path / "b", detector="dino", stem=weights, image_size=SIDE))
    assert torch.equal(memory.detect(pictures(2)).token_map, detector.detect(pictures(2)).token_map)


def test_what_cannot_be_built_says_why(tmp_path):
    for options, message in (
        ({"stem": None}, "stem: dino needs weights of DINOv2"),
        ({"tap_blocks": (4, 2)}, r"tap_blocks: \(4, 2\) given; ascending blocks from 1 to 4"),
        ({"tap_blocks": (5,)}, "from 1 to 4 are needed"),
        ({"image_size": 9}, "image_size: 9 is below one patch of 14 px"),
        ({"references": pictures(0, 0)}, "references: no picture given"),
        ({"references": np.zeros((1, 2, 2))}, "references: images: torch.float64"),
        ({"prompts": "handwritten"}, "prompts: dino has no such option"),
        ({"clip": "ViT-B-32/openai"}, "the detector dino takes no CLIP"),
    ):
        made = {"stem": tiny_dinov2(), "image_size": SIDE} | options
        with pytest.raises(BundleError, match=message):
            build_bundle(tmp_path / "bundle", detector="dino", **made)
    assert not (tmp_path / "bundle").exists()
