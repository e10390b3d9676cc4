"""Stage 2: how fast the large detector is on the device, what share of its peak, and what bounds it."""

from functools import partial
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.detector_speed import stages
from benchmarks.gpu.attention import BACKENDS, attention, preferring
from benchmarks.gpu.bundles import apart, load, rank_correlation, real_pictures, whole_pass
from benchmarks.gpu.float8 import to_float8
from benchmarks.gpu.graphs import compiled
from benchmarks.gpu.measuring import Measuring, Pass
from benchmarks.gpu.options import Options
from benchmarks.reference_detector import Reference
from s2sw.model.bundles.record import BundleRecord, read_record
from s2sw.model.detectors.s2swclip import S2swClip


def run(options: Options) -> None:
    Speed(options).run()


class Speed(Measuring):
    """The stage. What is worth most comes first; ratios are against the plain program in float32."""

    def __init__(self, options: Options) -> None:
        super().__init__(options, "speed")
        self.batches = (1, 2) if options.quick else (1, 8, 32, 64, 128)
        self.record: BundleRecord = read_record(options.large_bundle, check_weights=False)
        self.side, self.flop = self.record.image_size, tower_flop(self.record)

    def run(self) -> None:
        """Measure everything; raises RuntimeError that names what failed."""
        self.attempt("peak", self.product_peak)
        self.attempt("plain", self.plain)
        detector = load(self.options.large_bundle, self.options, "bf16")
        eager = partial(whole_pass, detector)
        for batch in self.batches:
            self.attempt(f"eager.{batch}", partial(self.rate, eager, batch))
        self.attempt(f"kernels.eager.{self.middle}", partial(self.kernels, eager))
        self.attempt("attention", partial(attention, self.options, self.record, self.middle))
        self.faster_ways(detector, eager)
        self.attempt(f"parts.{self.middle}", self.parts)
        self.attempt("float8", partial(self.float8, detector))
        self.finish()

    def faster_ways(self, detector: S2swClip, eager: Pass) -> None:
        """Measure compiled blocks, graphs, and other attention kernels than the library takes by itself."""
        with compiled(detector, self.options):
            for batch in sorted({self.middle, self.batches[-1]}):
                self.attempt(f"compiled.{batch}", partial(self.rate, eager, batch))
            self.attempt(f"compiled_graph.{self.middle}", partial(self.graph, eager, self.middle))
            self.attempt(f"kernels.compiled.{self.middle}", partial(self.kernels, eager))
        for batch in sorted({1, self.middle}):
            self.attempt(f"graph.{batch}", partial(self.graph, eager, batch))
        for name in BACKENDS:
            self.attempt(f"eager_{name}.{self.middle}", partial(self.backend, name, eager))

    def plain(self) -> dict[str, float]:
        """Measure the plain program, one picture at a time, in float32 with TF32 off and on."""
        weights = load_file(self.options.large_bundle / "weights.safetensors")
        there = Reference(self.record, {n: t.to(self.options.device) for n, t in weights.items()})
        found = {}
        for name, tf32 in (("fp32", False), ("tf32", True)):
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            found[name] = 1 / self.seconds(there.detect, self.input(1)[0])
        torch.backends.cuda.matmul.allow_tf32 = False
        self.slow = 1 / found["fp32"]
        return found

    def backend(self, name: str, run: Pass) -> dict[str, Any]:
        """Measure with another fused attention of the library's before its own choice."""
        with preferring(name):
            return self.rate(run, self.middle)

    def parts(self) -> dict[str, float]:
        """Return milliseconds a picture of each part, from the host's memory and back, the host waiting."""
        found = stages(self.options.large_bundle, self.options.device, "bf16", self.middle, self.rounds)
        return {name: 1e3 * seconds / self.middle for name, seconds in found.items()}

    def float8(self, detector: S2swClip) -> dict[str, Any]:
        """Measure the float8 tower, and how it ranks real pictures beside bf16. Lowers the detector given."""
        real = real_pictures(self.options, self.record.image_size)
        some = torch.from_numpy(real) if real is not None else None
        before = self.scores(detector, some)
        to_float8(detector.tower)
        run = partial(whole_pass, detector)
        found: dict[str, Any] = {"eager": self.rate(run, self.middle)}
        if before is not None and (after := self.scores(detector, some)) is not None:
            found["rank_correlation"] = rank_correlation(before[0], after[0])
            found["map"] = apart(before[1], after[1])
        with compiled(detector, self.options):
            found["compiled"] = self.rate(run, self.middle)
        return found

    def scores(self, detector: S2swClip, some: Tensor | None) -> tuple[Tensor, Tensor] | None:
        if some is None:
            return None
        outs = [detector.detect(part) for part in some.split(self.middle)]
        return torch.cat([out.score for out in outs]), torch.cat([out.token_map for out in outs])


def tower_flop(record: BundleRecord) -> float:
    """Return the operations of the tower's products for one picture, as two streams do them.

    Of the last block's original stream only the class token is computed.
    """
    vision, n = record.vision, record.grid**2 + 1
    w, layers = vision.width, vision.layers
    attention, mlp, out, qkv = 4 * n * n * w, 16 * n * w * w, 2 * n * w * w, 6 * n * w * w
    two = layers - record.settings["two_stream_from"] + 1
    whole = layers * (qkv + attention + out + mlp) + two * (attention + out)
    return whole - (mlp + attention + out) + 2 * n * w * vision.patch_channels
