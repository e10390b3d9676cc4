"""How far bf16 is from float32 on 200 real pictures: python -m benchmarks.detector_precision [BUNDLE]

Electroluminescence images of solar cells (elpv-dataset); without BUNDLE the embedded detector.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from elpv_dataset.utils import load_dataset
from scipy.stats import spearmanr

from benchmarks.figures import note
from s2sw.model import load_detector
from s2sw.model.detectors.finding import embedded_bundle
from s2sw.model.precision import multiplies_bf16

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
        one, other = full.detect(colour), half.detect(colour)
    correlation = spearmanr(one.score, other.score).statistic
    note(f"rank correlation of bf16 and float32 scores, {COUNT} solar cells", correlation, "", at_least=0.995)
    apart = (one.token_map - other.token_map).abs()
    print(
        f"{COUNT} pictures, {'trained' if full.trained else 'untrained'} weights: "
        f"rank correlation of scores {correlation:.5f}, "
        f"token maps differ by {float(apart.mean()):.1e} on average and {float(apart.max()):.1e} at most, "
        f"scores by {float((one.score - other.score).abs().max()):.1e} at most"
    )


if __name__ == "__main__":
    main()
