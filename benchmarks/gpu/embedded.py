"""Stage 5: the embedded detector, and a memory of 48 pictures that others are compared with."""

from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.bundles import load, load_embedded, whole_pass
from benchmarks.gpu.graphs import compiled
from benchmarks.gpu.measuring import Measuring
from benchmarks.gpu.options import Options
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.heads.memory import distance, remembered

BANK = 48
"""Pictures of the memory."""


def run(options: Options) -> None:
    Embedded(options).run()


class Embedded(Measuring):
    """The stage. Ratios are against one picture at a time in float32."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, "embedded")
        self.batches = (1, 2) if options.quick else (1, 32, 256)

    def run(self) -> None:
        """Measure everything; raises RuntimeError that names what failed."""
        self.attempt("peak", self.product_peak)
        for precision in ("fp32", "bf16"):
            detector = load_embedded(self.options, precision)
            self.side, eager = detector.image_size, partial(whole_pass, detector)
            self.flop = operations(detector, self.input(1))
            if precision == "fp32":
                self.slow = self.seconds(eager, self.input(1))
            for batch in self.batches:
                self.attempt(f"{precision}.eager.{batch}", partial(self.rate, eager, batch))
            self.attempt(f"{precision}.graph.{self.middle}", partial(self.graph, eager, self.middle))
        self.attempt(f"kernels.{self.middle}", partial(self.kernels, eager))
        if not self.options.quick:  # capturing it takes longer than all the rest of a rehearsal
            with compiled(detector, self.options):
                self.attempt(f"bf16.compiled.{self.batches[-1]}", partial(self.rate, eager, self.batches[-1]))
        self.attempt("memory.embedded", partial(self.memory, detector))
        large = load(self.options.large_bundle, self.options, "bf16")
        self.side = large.image_size
        self.attempt("memory.large", partial(self.memory, large))
        self.finish()

    @torch.inference_mode()
    def memory(self, detector: S2swClip) -> dict[str, Any]:
        """Measure the distances of a batch's patches to the nearest of a memory, as few-shot detectors do."""
        bank, batch = (2, 1) if self.options.quick else (BANK, 8)
        patches = detector.streams(self.input(batch)).taps[0][:, 1:]
        memory = remembered(patches[:1].expand(bank, -1, -1))
        each = self.seconds(distance, patches, memory) / batch
        return {"pictures": bank, "patches": len(memory), "ms_an_image": 1e3 * each}


@torch.inference_mode()
def operations(detector: S2swClip, x: torch.Tensor) -> float:
    """Return the operations of a pass over one picture, as the library counts its products."""
    with FlopCounterMode(display=False) as counter:
        whole_pass(detector, x)
    return float(counter.get_total_flops())
