"""How far bf16 is from float32 on 200 real pictures: python -m benchmarks.detector_precision [BUNDLE]

Electroluminescence images of solar cells (elpv-dataset); without BUNDLE the embedded detector.
Each way to compute attention on a CPU is compared (``s2sw.model.towers.attention``).
"""

import sys
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from elpv_dataset.utils import load_dataset
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.figures import note
from s2sw.model import load_detector
from s2sw.model.detectors.contract import Detection, Detector
from s2sw.model.detectors.finding import embedded_bundle
from s2sw.model.precision import multiplies_bf16
from s2sw.model.towers.attention import Way, use

COUNT = 200


def main() -> None:
    if not multiplies_bf16(torch.device("cpu")):
        sys.exit("this CPU has no bfloat16 products: nothing to compare")
    images, _, _ = load_dataset()
    some = images[np.linspace(0, len(images) - 1, COUNT).astype(int)]
    colour = np.repeat(some[..., None], 3, axis=-1)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(sys.argv[1]) if len(sys.argv) > 1 else embedded_bundle(Path(folder))
        full, half = (load_detector(bundle, precision=precision) for precision in ("fp32", "bf16"))
        exact = full.detect(colour)
        print(f"{COUNT} pictures, {'trained' if full.trained else 'untrained'} weights")
        correlations = [compare(way, exact, half, colour) for way in get_args(Way)]
    note(
        f"rank correlation of bf16 and float32 scores, {COUNT} solar cells",
        min(correlations), "", at_least=0.995,
    )  # fmt: skip


def compare(way: Way, exact: Detection, half: Detector, pictures: NDArray[np.uint8]) -> float:
    """Print how far bf16 is from float32 with one way of attention; return scores' rank correlation."""
    use(way)
    found = half.detect(pictures)
    correlation = float(spearmanr(exact.score, found.score).statistic)
    apart = (exact.token_map - found.token_map).abs()
    print(
        f"attention {way}: rank correlation of scores {correlation:.5f}, "
        f"token maps differ by {float(apart.mean()):.1e} on average and {float(apart.max()):.1e} at most, "
        f"scores by {float((exact.score - found.score).abs().max()):.1e} at most"
    )
    return correlation


if __name__ == "__main__":
    main()
