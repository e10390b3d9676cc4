"""An ensemble is its members, weighted; what they share is computed once; it is a bundle like others."""

import json

import numpy as np
import pytest
import torch

from s2sw.model import build_bundle, build_ensemble, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.ensemble import Ensemble
from s2sw.model.errors import BundleError
from s2sw.model.maps import is_ordinary
from tests.support.family import CLASSES, SIDE, build_family, clip


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """One of each kind on one CLIP, and one on another."""
    folder = tmp_path_factory.mktemp("members")
    built = build_family(folder)
    options = {"detector": "anomalyclip", "prompts": "handwritten", "image_size": SIDE}
    return built | {"other": build_bundle(folder / "other", clip(seed=6), **options)}


def ensemble_of(folder, members, **weights) -> Ensemble:
    out = build_ensemble(folder / "ensemble", {members[name]: weight for name, weight in weights.items()})
    loaded = load_detector(out)
    assert isinstance(loaded, Ensemble)
    return loaded


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)


def test_two_on_one_tower_are_one_pass_and_one_token_map(members, pictures, tmp_path):
    both = ensemble_of(tmp_path, members, s2swclip=3, anomalyclip=1)
    assert both.passes == [[0, 1]]
    assert both.members[0].tower is both.members[1].tower
    assert is_ordinary(both.map_layers)
    assert both.family_names == ("s2swclip", "anomalyclip")
    found = both.detect(pictures)
    one, two = (load_detector(members[name]).detect(pictures) for name in ("s2swclip", "anomalyclip"))
    # the weights lie elsewhere in memory: on some processors a product's last bit depends on that
    torch.testing.assert_close(
        found.family_scores, torch.stack([one.score, two.score], dim=1), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(found.score, 0.75 * one.score + 0.25 * two.score)
    torch.testing.assert_close(found.token_map, 0.75 * one.token_map + 0.25 * two.token_map)


def test_any_kinds_together(members, pictures, tmp_path):
    """Logits, other grids, inputs and towers: the full map is the weighted sum of the members' own."""
    weights = {"april_gan": 1.0, "s2swclip": 2.0, "winclip": 3.0, "other": 4.0, "adaptclip": 5.0}
    weights |= {"af_clip": 6.0, "aa_clip": 7.0, "mvfa": 8.0}
    whole, total = ensemble_of(tmp_path, members, **weights), sum(weights.values())
    assert whole.passes == [[0], [1, 4], [2], [3], [5], [6], [7]]
    assert (whole.image_size, whole.class_names) == (SIDE, CLASSES)
    names = ["bolt", "nut", "bolt"]
    found = whole.detect(pictures, names)
    expected, scores = 0, 0
    for name, weight in weights.items():
        member = load_detector(members[name])
        out = member.detect(pictures, names if member.class_names else None)
        expected = expected + weight / total * member.full_map(out.token_map, (60, 50))
        scores = scores + weight / total * out.score
    torch.testing.assert_close(whole.full_map(found.token_map, (60, 50)), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.score, scores, rtol=0, atol=1e-5)


def test_patch_features_are_those_of_the_members_on_the_same_grid(members, tmp_path):
    whole = ensemble_of(tmp_path, members, s2swclip=1, mvfa=1, aa_clip=1)
    x = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    found = whole.patch_features(x)
    expected = [
        (f"{name}.{tap}", patches)
        for name in ("s2swclip", "aa_clip")
        for tap, patches in load_detector(members[name]).patch_features(x)
    ]
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert "aa_clip.block_4" in dict(found)
    for (_, one), (_, other) in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_bf16_and_batches(members, pictures, tmp_path):
    both = ensemble_of(tmp_path, members, s2swclip=1, anomalyclip=1)
    half = load_detector(tmp_path / "ensemble", precision="bf16")
    full = both.detect(pictures)
    assert (half.detect(pictures).score - full.score).abs().max() < 2e-2
    assert torch.equal(both.detect(pictures[1:2]).token_map, full.token_map[1:2])


def test_it_is_self_contained_and_sealed(members, tmp_path):
    out = build_ensemble(tmp_path / "e", {members["s2swclip"]: 1, members["anomalyclip"]: 1})
    single = (members["s2swclip"] / "weights.safetensors").stat().st_size
    assert (out / "weights.safetensors").stat().st_size < 1.1 * single, "the tower is kept once"
    record = json.loads((out / "bundle.json").read_text())
    assert record["prompts"] == "s2swclip: learned; anomalyclip: learned"
    assert "prompts" not in record["settings"]["members"][0]["record"]
    data = bytearray((out / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (out / "weights.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match="changed after the bundle was built"):
        load_detector(out)


def test_no_bundle_can_be_taken_for_another(members, tmp_path):
    """Fingerprints differ by detector, members, weights and order; weights count by their share."""

    def fingerprint(name, *pairs):
        made = build_ensemble(tmp_path / name, {members[member]: weight for member, weight in pairs})
        return read_record(made).fingerprint

    equal = fingerprint("equal", ("s2swclip", 1), ("anomalyclip", 1))
    assert equal == fingerprint("same", ("s2swclip", 5), ("anomalyclip", 5))
    others = {
        equal,
        fingerprint("weights", ("s2swclip", 2), ("anomalyclip", 1)),
        fingerprint("order", ("anomalyclip", 1), ("s2swclip", 1)),
        fingerprint("members", ("s2swclip", 1), ("other", 1)),
        *(read_record(folder).fingerprint for folder in members.values()),
    }
    assert len(others) == 4 + len(members)


def test_what_cannot_be_an_ensemble(members, tmp_path):
    def build(**weights):
        build_ensemble(tmp_path / "e", {members[name]: weight for name, weight in weights.items()})

    with pytest.raises(BundleError, match="two bundles at least"):
        build(s2swclip=1)
    for weight in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BundleError, match="weights above 0"):
            build(s2swclip=1, anomalyclip=weight)
    build(s2swclip=1, anomalyclip=1)
    with pytest.raises(BundleError, match="an ensemble cannot be a member"):
        build_ensemble(tmp_path / "nested", {tmp_path / "e": 1, members["other"]: 1})
    with pytest.raises(BundleError, match="an ensemble is made of bundles"):
        build_bundle(tmp_path / "x", clip(), detector="ensemble")
    one = build_bundle(tmp_path / "one", clip(), detector="winclip", class_name="nut", image_size=SIDE)
    with pytest.raises(BundleError, match="class names differ"):
        build_ensemble(tmp_path / "names", {one: 1, members["winclip"]: 1})
