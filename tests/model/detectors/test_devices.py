"""A detector on another device, and in several threads at once, says what it says on the CPU by itself."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from s2sw.model import build_ensemble, load_detector
from s2sw.model.detectors.registry import SYSTEMS
from tests.support.family import CLASSES, SIDE, build_family

KINDS = (*SYSTEMS, "ensemble")
DEVICES = (
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
)
THREADS, CALLS = 2, 4


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    family = build_family(folder)
    members = {family["s2swclip"]: 1, family["april_gan"]: 2, family["winclip"]: 1, family["adaptclip"]: 1}
    return family | {"ensemble": build_ensemble(folder / "ensemble", members)}


def pictures(seed):
    return np.random.default_rng(seed).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


def on_a_stream(detector, images):
    stream = torch.cuda.stream(torch.cuda.Stream()) if detector.device.type == "cuda" else nullcontext()
    with stream:
        return detector.detect(images, [CLASSES[0]] * len(images) if detector.class_names else None)


def assert_same(found, expected):
    for name in ("score", "family_scores", "token_map"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_devices_and_threads_agree(bundles, kind, device):
    plain, detector = load_detector(bundles[kind]), load_detector(bundles[kind], device=device)
    expected = [on_a_stream(plain, pictures(seed)) for seed in range(CALLS)]
    assert_same(on_a_stream(detector, torch.from_numpy(pictures(0)).to(device)), expected[0])
    before = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda seed: on_a_stream(detector, pictures(seed)), range(CALLS)))
    for ours, theirs in zip(found, expected, strict=True):
        assert_same(ours, theirs)
    assert before == (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32)
