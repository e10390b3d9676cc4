"""S2SWCLIP and AnomalyCLIP in one pass next to S2SWCLIP alone: python -m benchmarks.ensemble

ViT-L/14@336 at 518 px with random weights, one picture, one thread; CPU seconds of one run, in turn.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.detector_speed import SIDE, make_bundle, pictures
from s2sw.model import build_bundle, build_ensemble, load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.untrained import VIT_L_14_336, untrained_clip


def cpu_seconds(detector: Detector, x: torch.Tensor) -> float:
    started = time.process_time()
    detector.detect_normalized(x)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    x = pictures(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = make_bundle(folder)
        contexts = torch.randn(2, 12, VIT_L_14_336.text_width, generator=torch.Generator().manual_seed(5))
        second = build_bundle(
            folder / "anomalyclip",
            untrained_clip(VIT_L_14_336, seed=1),
            detector="anomalyclip",
            prompts=LearnedPrompts(contexts[0], contexts[1], ()),
            image_size=SIDE,
            trained=False,
        )
        both = build_ensemble(folder / "both", {first: 1, second: 1})
        detectors = {path.name: load_detector(path) for path in (first, second, both)}
        times: dict[str, list[float]] = {name: [] for name in detectors}
        for number in range(rounds + 1):
            for name, detector in detectors.items():
                seconds = cpu_seconds(detector, x)
                times[name] += [seconds] if number else []
    alone, other, together = (times[path.name] for path in (first, second, both))
    ratio = statistics.median(t / a for t, a in zip(together, alone, strict=True))
    print(
        f"S2SWCLIP {statistics.median(alone):.2f} s, AnomalyCLIP {statistics.median(other):.2f} s, "
        f"both in one pass {statistics.median(together):.2f} s: {ratio:.3f} x S2SWCLIP alone"
    )


if __name__ == "__main__":
    main()
