"""What the stages measure alike of a pass over pictures: rate, share of the peak, memory, graphs, kernels."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.detector_speed import Clock, pictures
from benchmarks.gpu.bundles import apart
from benchmarks.gpu.graphs import Captured
from benchmarks.gpu.kernels import top_kernels
from benchmarks.gpu.options import Options, Results, failure

PEAK_SIDE = 8192

Pass = Callable[[Tensor], tuple[Tensor, ...]]


class Measuring:
    """A stage of several figures: what fails is written down and passed over.

    side: of the pictures. flop: operations of one. slow: seconds that one picture takes what it is compared
    with. middle: the batch that most is measured at.
    """

    side, flop, slow, peak = 0, 0.0, float("nan"), float("nan")

    def __init__(self, options: Options, stage: str) -> None:
        self.options = options
        self.results = Results(options, stage)
        self.clock = Clock(options.device)
        self.warming, self.rounds = (1, 1) if options.quick else (2, 5)
        self.middle = 2 if options.quick else 32
        self.failed: list[str] = []

    def attempt(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        try:
            self.results[name] = measure()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other figures are wanted
            self.results[name] = {"failed": failure(error)}
            self.failed.append(name)

    def finish(self) -> None:
        """Raise RuntimeError that names what failed."""
        if self.failed:
            raise RuntimeError(f"not measured: {', '.join(self.failed)}")

    def input(self, batch: int) -> Tensor:
        return pictures(1, self.side).repeat(batch, 1, 1, 1).to(self.options.device)

    def seconds(self, run: Callable[..., object], *args: object) -> float:
        """Return the median of some rounds, after those that warm up."""
        for _ in range(self.warming):
            run(*args)
        return statistics.median(self.clock.seconds(run, *args) for _ in range(self.rounds))

    def product_peak(self) -> dict[str, float]:
        """Measure a large bf16 product of random numbers: what the matrix units give at best."""
        side = 256 if self.options.quick else PEAK_SIDE
        a, b = (torch.randn(side, side, device=self.options.device, dtype=torch.bfloat16) for _ in range(2))
        self.peak = 2 * side**3 / self.seconds(torch.matmul, a, b)
        return {"tflops": self.peak / 1e12}

    def rate(self, run: Pass, batch: int) -> dict[str, Any]:
        """Measure a pass over pictures that are on the device."""
        x = self.input(batch)
        run(x)
        if self.options.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        each = self.seconds(run, x) / batch
        found = {
            "images_per_s": 1 / each,
            "ratio": self.slow / each,
            "share_of_peak": self.flop / each / self.peak,
        }
        if self.options.on_gpu:
            found["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
        return found

    def graph(self, run: Pass, batch: int) -> dict[str, Any]:
        """Measure the same captured once as a CUDA graph and replayed."""
        if not self.options.on_gpu:
            return {"left_out": "needs CUDA"}
        x = self.input(batch)
        captured = Captured(run, x)
        return self.rate(captured, batch) | {"map_difference": apart(captured(x)[1], run(x)[1])["max"]}

    def kernels(self, run: Pass) -> dict[str, Any]:
        return top_kernels(partial(run, self.input(self.middle)), self.options)
