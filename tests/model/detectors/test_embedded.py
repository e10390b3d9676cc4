"""The embedded detector: what is shipped, that it finds unseen kinds of defects, and what its scores mean."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from s2sw.model import build_bundle, build_ensemble, load_detector
from s2sw.model.detectors.embedded import EVIDENCE, FEW_SHOT
from s2sw.model.detectors.finding import embedded_bundle
from s2sw.model.embedded_training.calibration import calibration_error
from s2sw.model.embedded_training.check import auroc, labels_of
from s2sw.model.embedded_training.pictures import draw_scenes
from s2sw.model.errors import BundleError
from s2sw.model.precision import quick_type
from s2sw.model.synthetic.scenes import draw_kin, held_out_mixture, training_mixture
from s2sw.model.weights.shipped import whole_tensors
from s2sw.model.weights.shipped_files import FOLDER, HEAD, STEM
from s2sw.model.weights.tensors import read_tensors

PAIRS, SIDE = 32, 350
LARGEST = 24_000_000
"""Bytes of all shipped files together."""
PRECISION = "bf16" if quick_type(torch.device("cpu")) is torch.bfloat16 else "fp32"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return embedded_bundle(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def detector(folder):
    return load_detector(folder, precision=PRECISION)


@pytest.fixture(scope="module")
def scenes():
    """Half of kinds held out of training, half of others; a normal picture, then a defective one."""
    rng = np.random.default_rng(11)
    return draw_scenes(rng, held_out_mixture(0.5), PAIRS) + draw_scenes(rng, training_mixture(0.5), PAIRS)


@pytest.fixture(scope="module")
def seen(detector, scenes):
    return detector.detect(np.stack([scene.picture for scene in scenes]))


def test_is_built_once(folder):
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert embedded_bundle(folder.parent) == folder
    assert before == {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert len(list(folder.parent.iterdir())) == 1


def test_says_what_it_is(detector):
    assert (detector.name, detector.image_size, detector.grid) == ("embedded", SIDE, 25)
    assert detector.trained
    assert detector.family_names == EVIDENCE
    assert "generated pictures" in detector.prompts
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= LARGEST
    notice = (FOLDER / "NOTICE").read_text()
    assert "MIT License" in notice
    assert "Apache License" in notice


def test_bundle_holds_the_shipped_numbers(folder):
    shipped, bundled = (
        whole_tensors(read_tensors(STEM), read_tensors(HEAD)),
        read_tensors(folder / "weights.safetensors"),
    )
    assert shipped.keys() == bundled.keys()
    assert all(torch.equal(tensor, bundled[name]) for name, tensor in shipped.items())


def test_finds_defects_of_kinds_it_was_not_trained_on(detector, scenes, seen):
    """A detector that its weights do not fit comes down towards 0.5."""
    assert auroc(seen.score[:PAIRS], labels_of(seen.score[:PAIRS])) > UNSEEN_IMAGE
    maps = detector.full_map(seen.token_map[:PAIRS], (240, 240))
    masks = torch.from_numpy(np.stack([scene.mask for scene in scenes[:PAIRS]]))
    assert auroc(maps.flatten(), masks.flatten()) > UNSEEN_PIXEL


UNSEEN_IMAGE, UNSEEN_PIXEL = 0.85, 0.85


def test_scores_are_probabilities(seen):
    """Of so few pictures the error is above what thousands give (docs/embedded-model.md), never far above."""
    labels = labels_of(seen.score)
    assert calibration_error(seen.score, labels) < 0.15
    assert abs(float(seen.score.mean()) - 0.5) < 0.1
    low, middle, high = seen.score.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    assert middle - low > 0.05
    assert high - middle > 0.05


def nothing():
    rng = np.random.default_rng(3)
    plain = np.zeros((SIDE, SIDE, 3), np.uint8)
    slope = np.broadcast_to(np.linspace(0, 255, SIDE).astype(np.uint8)[:, None, None], plain.shape)
    noise = rng.integers(0, 256, plain.shape, dtype=np.uint8)
    return {"noise": noise, "black": plain, "white": plain + 255, "gradient": slope}


def test_what_shows_nothing_scores_below_good_pictures(detector, seen):
    good = seen.score[0::2].median()
    for name, picture in nothing().items():
        assert detector.detect(picture[None]).score < good, name


def test_size_and_brightness_hardly_matter(detector, scenes, seen):
    changed, known = [], []
    for number in range(0, 12, 2):
        picture = Image.fromarray(scenes[number].picture)
        for factor in (0.7, 1.5):
            side = round(SIDE * factor)
            changed.append(detector.detect(np.asarray(picture.resize((side, side)))[None]).score)
            bright = np.clip(np.asarray(picture, np.float32) * factor, 0, 255).astype(np.uint8)
            changed.append(detector.detect(bright[None]).score)
            known += [seen.score[number : number + 1]] * 2
    assert float((torch.cat(changed) - torch.cat(known)).abs().mean()) < 0.1


def test_a_batch_is_its_pictures_to_the_bit(detector, scenes, seen):
    for number in (3, 8):
        alone = detector.detect(scenes[number].picture[None])
        assert torch.equal(alone.score[0], seen.score[number])
        assert torch.equal(alone.family_scores[0], seen.family_scores[number])
        assert torch.equal(alone.token_map[0], seen.token_map[number])


def test_patch_features_are_the_stems_compared_taps(detector, scenes):
    x = detector.prepare(scenes[0].picture[None])
    found = detector.patch_features(x)
    assert [name for name, _ in found] == ["block_6", "block_9"]
    taps = detector.tower.stem.tapped(x)
    for (_, patches), tap in zip(found, taps[1:], strict=True):
        assert patches.dtype == torch.float32
        assert torch.equal(patches, tap.float())


@pytest.fixture(scope="module")
def kin():
    return draw_kin(np.random.default_rng(5), training_mixture(0.3), 4)


@pytest.fixture(scope="module")
def few_shot(kin, tmp_path_factory):
    normals, _ = kin
    references = np.stack([scene.picture for scene in normals])
    out = tmp_path_factory.mktemp("few") / "bundle"
    return build_bundle(out, detector="embedded", references=references)


def test_a_memory_knows_its_own_pictures(few_shot, kin):
    with_memory = load_detector(few_shot)
    assert with_memory.family_names == (*EVIDENCE, FEW_SHOT)
    normals, (normal, defective) = kin
    remembered = with_memory.detect(normals[0].picture[None])
    assert remembered.family_scores.shape == (1, 6)
    good, bad = (with_memory.detect(scene.picture[None]) for scene in (normal, defective))
    assert float(remembered.family_scores[0, 5]) < float(good.family_scores[0, 5])
    assert float(good.family_scores[0, 5]) < float(bad.family_scores[0, 5])
    assert float(good.score) < float(bad.score)


def test_distances_of_a_memory_are_cosines_to_the_nearest_patch(few_shot, kin):
    with_memory = load_detector(few_shot)
    memory = with_memory.memory
    tap = with_memory.patch_features(with_memory.prepare(kin[1][1].picture[None]))[1][1]
    single = functional.normalize(tap, dim=-1)
    kept = [functional.normalize(t, dim=-1) for t in memory.patches]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(kept, memory.patches, strict=True))
    cosine = single[0, 100] @ memory.patches[2].T
    assert float(memory.patches[2].norm(dim=-1).min()) == pytest.approx(1, abs=1e-5)
    assert float(cosine.max()) < 1
    taps = with_memory.tower.stem.tapped(with_memory.prepare(kin[0][2].picture[None]))
    own = memory.unlike(taps) * memory.usual[1] + memory.usual[0]
    assert float(own.abs().max()) < 1e-3  # what is remembered is at no distance


def test_one_picture_is_memory_enough(kin, tmp_path):
    out = build_bundle(tmp_path / "one", detector="embedded", references=kin[0][0].picture[None])
    found = load_detector(out).detect(kin[1][1].picture[None])
    assert torch.isfinite(found.score).all()
    assert 0 < float(found.score) < 1


def test_a_memory_keeps_its_say_in_an_ensemble(few_shot, folder, kin, tmp_path):
    both = load_detector(build_ensemble(tmp_path / "both", {few_shot: 1, folder: 1}))
    picture = kin[1][1].picture[None]
    alone = [load_detector(one).detect(picture).score for one in (few_shot, folder)]
    torch.testing.assert_close(both.detect(picture).family_scores[0], torch.cat(alone))


def test_what_it_does_not_take(tmp_path):
    for options, message in (
        ({"image_size": 518}, "image_size: 518 given; the embedded detector has 350"),
        ({"prompts": "handwritten"}, "prompts: embedded has no such option"),
        ({"clip": "ViT-B-32/openai"}, "the detector embedded takes no CLIP"),
        ({"references": np.zeros((0, 8, 8, 3), np.uint8)}, "references: no picture given"),
    ):
        with pytest.raises(BundleError, match=message):
            build_bundle(tmp_path / "bundle", detector="embedded", **options)
