"""RareCLIP as a detector: its two kinds of evidence are those of AnomalyCLIP and MuSc, summed in one unit."""

import numpy as np
import pytest
import torch

from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.errors import BundleError
from tests.support.family import CLASSES, clip, random

SIDE, COUNT = 56, 9
ARCHIVE = random(COUNT, 3, SIDE, SIDE, seed=1)


def build(folder, system="rareclip", **options):
    return build_bundle(folder / system, clip(), detector=system, image_size=SIDE, **options)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return build(tmp_path_factory.mktemp("rareclip"), references=ARCHIVE)


@pytest.fixture(scope="module")
def detector(bundle):
    return load_detector(bundle)


def plain(text, tokens, rare, x_text, x_tokens, x_rare, weight):
    """What is said of a picture, written from docs/profile.md, in float64 with numpy."""

    def odds(p):
        return np.log(p / (1 - p))

    def units(values, of):
        return (values - of.mean()) / of.std()

    def highest(values):
        return np.sort(values, axis=-1)[..., -max(1, round(0.01 * values.shape[-1])) :].mean(axis=-1)

    patches = units(rare, rare)
    pictures = highest(patches)
    of_bank = (1 - weight) * units(odds(text), odds(text)) + weight * units(pictures, pictures)
    on_map = (1 - weight) * units(odds(tokens), odds(tokens)) + weight * patches
    x_patches = units(x_rare, rare)
    score = (1 - weight) * units(odds(x_text), odds(text)) + weight * units(highest(x_patches), pictures)
    grid = (1 - weight) * units(odds(x_tokens), odds(tokens)) + weight * x_patches

    def share(value, bank, at):
        value = (value - np.sort(bank, axis=None)[round(at * (bank.size - 1))]) / bank.std()
        return 0.5 + 0.5 * value / (1 + np.abs(value))

    return share(score, of_bank, 0.95), share(grid, on_map, 0.995)


def test_both_kinds_of_evidence_are_summed_in_units_of_the_archive(tmp_path, detector):
    zero_shot, musc = (
        load_detector(build(tmp_path, system, **given))
        for system, given in (("anomalyclip", {}), ("musc", {"references": ARCHIVE}))
    )
    x = random(2, 3, SIDE, SIDE, seed=2)
    text, rare = (d.detect_normalized(torch.cat([ARCHIVE, x])) for d in (zero_shot, musc))
    scores, tokens = text.score.double().numpy(), text.token_map.flatten(1).double().numpy()
    apart = 2 * rare.token_map.flatten(1).double().numpy()
    found = detector.detect_normalized(x)
    for row in range(2):
        of = (scores[:COUNT], tokens[:COUNT], apart[:COUNT])
        at = COUNT + row
        expected = plain(*of, scores[at], tokens[at], apart[at], weight=0.7)
        assert float(found.score[row]) == pytest.approx(float(expected[0]), abs=2e-3)
        np.testing.assert_allclose(found.token_map[row].flatten(), expected[1], atol=2e-3)
        torch.testing.assert_close(found.family_scores[row, 0], text.score[at], atol=1e-6, rtol=0)
        torch.testing.assert_close(found.family_scores[row, 1], rare.score[at], atol=1e-3, rtol=0)


def test_without_an_archive_it_says_what_the_prompts_say(tmp_path):
    x = random(2, 3, SIDE, SIDE, seed=2)
    alone, zero_shot = (load_detector(build(tmp_path, system)) for system in ("rareclip", "anomalyclip"))
    found, expected = (d.detect_normalized(x) for d in (alone, zero_shot))
    torch.testing.assert_close(found.score, expected.score)
    torch.testing.assert_close(found.token_map, expected.token_map)
    assert alone.family_names == ("text",)


def test_one_pass_gives_scores_and_the_taps_that_are_compared(tmp_path, detector):
    pictures = np.random.default_rng(3).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    found, taps = detector.detect_with_patches(pictures)
    x = detector.prepare(pictures)
    assert torch.equal(found.token_map, detector.detect_normalized(x).token_map)
    musc = load_detector(build(tmp_path, "musc", references=ARCHIVE))
    for own, (name, theirs) in zip(taps, musc.patch_features(x), strict=True):
        torch.testing.assert_close(own, theirs)
        assert name in detector.tap_names


def test_each_class_has_an_archive_of_its_own(tmp_path):
    archives = {name: random(COUNT, 3, SIDE, SIDE, seed=seed) for seed, name in enumerate(CLASSES)}
    both = load_detector(build(tmp_path, references=archives))
    x = random(2, 3, SIDE, SIDE, seed=4)
    out = both.detect_normalized(x, CLASSES)
    for row, name in enumerate(CLASSES):
        alone = load_detector(build(tmp_path / name, references=archives[name]))
        assert torch.equal(alone.detect_normalized(x[row : row + 1]).token_map[0], out.token_map[row])


@pytest.mark.usefixtures("bf16_everywhere")
def test_bf16_agrees(bundle, detector):
    x = random(2, 3, SIDE, SIDE, seed=2)
    full, low = (d.detect_normalized(x) for d in (detector, load_detector(bundle, precision="bf16")))
    assert (full.token_map - low.token_map).abs().max() < 0.1
    assert (full.family_scores - low.family_scores).abs().max() < 0.02


def test_the_weight_is_part_of_the_bundle(tmp_path, bundle):
    other = build(tmp_path, references=ARCHIVE, rarity_weight=0.2)
    assert read_record(other).settings["rarity_weight"] == 0.2
    assert read_record(other).fingerprint != read_record(bundle).fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"references": ARCHIVE[:8]}, "references: 8 pictures; at least 9 are needed"),
        ({"class_name": "nut"}, "class_name: it is for references"),
        ({"references": ARCHIVE, "rarity_weight": 2}, "rarity_weight: 2 given"),
        ({"tap_blocks": (2, 9)}, "tap_blocks .* up to 4"),
        ({"two_stream_from": 9}, "from block 9"),
    ],
)
def test_wrong_settings(tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(tmp_path, **options)
    assert not list(tmp_path.iterdir())
