"""The wavelet branch next to pytorch_wavelets' own transforms: python -m benchmarks.detector_wavelet

CPU seconds of one thread at ViT-L/14, 518 px (1370 tokens of 768 channels), medians, interleaved.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.figures import note
from s2sw.model.heads.wavelet import LibraryTransforms, WaveletBranch

TOKENS, CHANNELS, ROUNDS = 1370, 768, 15


def cpu_seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    library, branch = LibraryTransforms(), WaveletBranch()
    p = functional.normalize(torch.randn(1, TOKENS, CHANNELS), dim=-1)

    def by_library() -> Tensor:
        signal = p.unsqueeze(1)
        low = functional.interpolate(library.coarse(signal), size=(TOKENS, CHANNELS), mode="bilinear")
        return (0.99 * low + 0.01 * library.undecimated(signal)).squeeze(1)

    difference = float((by_library() - branch(p)).abs().max())
    slow, fast = zip(
        *[(cpu_seconds(by_library), cpu_seconds(lambda: branch(p))) for _ in range(ROUNDS)], strict=True
    )
    ratio = statistics.median(s / f for s, f in zip(slow, fast, strict=True))
    print(
        f"library {1e3 * statistics.median(slow):.1f} ms, branch {1e3 * statistics.median(fast):.1f} ms, "
        f"ratio {ratio:.1f}, largest difference {difference:.1e}"
    )
    note("the wavelet branch against pytorch_wavelets' transforms", ratio, at_least=4)


if __name__ == "__main__":
    main()
