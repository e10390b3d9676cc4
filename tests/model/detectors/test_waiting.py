"""On a GPU the host waits once a batch: for the one copy of the results."""

import pytest
import torch

from s2sw.model import build_ensemble, load_detector
from s2sw.model.detectors.finding import embedded_bundle
from s2sw.model.towers.packed import as_on_a_gpu
from tests.support.fake_gpu import DEVICE, fake_gpu, onto_gpu
from tests.support.family import build_family

KINDS = ("s2swclip", "anomalyclip", "ensemble", "embedded")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waiting")
    family = build_family(folder)
    return {
        "s2swclip": family["s2swclip"],
        "anomalyclip": family["anomalyclip"],
        "ensemble": build_ensemble(folder / "both", {family["s2swclip"]: 1, family["anomalyclip"]: 2}),
        "embedded": embedded_bundle(folder / "cache"),
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_copy_leaves_the_gpu(bundles, kind, precision):
    with as_on_a_gpu():
        detector = load_detector(bundles[kind], precision=precision)
    side = detector.image_size
    with fake_gpu() as crossings:
        onto_gpu(detector)
        out = detector.detect_normalized(torch.empty(2, 3, side, side, device=DEVICE))
    assert crossings.seen == [("cuda", "cpu")]
    assert out.score.device.type == "cpu"


def test_the_watch_sees_what_it_should():
    """Copies both ways are seen, those that the host does not wait for are not; numbers cannot be had."""
    with fake_gpu() as crossings:
        there = torch.empty(3, device=DEVICE)
        there.cpu()
        torch.empty(3).to(DEVICE)
        torch.empty(3).to(DEVICE, non_blocking=True)
        with pytest.raises(Exception, match=r"data-dependent|_local_scalar|item"):
            there.tolist()
    assert crossings.seen == [("cuda", "cpu"), ("cpu", "cuda")]
