"""How far bf16 and int8 are from float32, 200 real pictures: python -m benchmarks.detector_precision [BUNDLE]

Electroluminescence images of solar cells (elpv-dataset); without BUNDLE the embedded detector.
Each way to compute attention on a CPU is compared (``s2sw.model.towers.attention``). What this CPU has no
products for is left out.
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
from s2sw.model.precision import Precision, multiplies_bf16, multiplies_int8
from s2sw.model.towers.attention import Way, use

COUNT = 200
LEAST: dict[Precision, float] = {"bf16": 0.995, "int8": 0.99}


def main() -> None:
    cpu = torch.device("cpu")
    here: dict[Precision, bool] = {"bf16": multiplies_bf16(cpu), "int8": multiplies_int8(cpu)}
    if not any(here.values()):
        sys.exit("this CPU has products for neither: nothing to compare")
    images, _, _ = load_dataset()
    some = images[np.linspace(0, len(images) - 1, COUNT).astype(int)]
    colour = np.repeat(some[..., None], 3, axis=-1)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(sys.argv[1]) if len(sys.argv) > 1 else embedded_bundle(Path(folder))
        full = load_detector(bundle)
        exact = full.detect(colour)
        print(f"{COUNT} pictures, {'trained' if full.trained else 'untrained'} weights")
        for precision in (name for name, has in here.items() if has):
            lower = load_detector(bundle, precision=precision)
            correlations = [compare(way, precision, exact, lower, colour) for way in get_args(Way)]
            note(
                f"rank correlation of {precision} and float32 scores, {COUNT} solar cells",
                min(correlations), "", at_least=LEAST[precision],
            )  # fmt: skip


def compare(
    way: Way, precision: Precision, exact: Detection, lower: Detector, pictures: NDArray[np.uint8]
) -> float:
    """Print how far a precision is from float32 in one way of attention; return scores' rank correlation."""
    use(way)
    found = lower.detect(pictures)
    correlation = float(spearmanr(exact.score, found.score).statistic)
    apart = (exact.token_map - found.token_map).abs()
    print(
        f"{precision}, attention {way}: rank correlation of scores {correlation:.5f}, "
        f"token maps differ by {float(apart.mean()):.1e} on average and {float(apart.max()):.1e} at most, "
        f"scores by {float((exact.score - found.score).abs().max()):.1e} at most"
    )
    return correlation


if __name__ == "__main__":
    main()
