"""How fast the detector is next to a plain one: same weights, same pictures, one run.

    python -m benchmarks.detector_speed

ViT-L/14@336 shapes with random weights, 518 x 518 px, on one thread of a CPU. Its CPU seconds are counted, so
that other work on the machine counts little; variants are interleaved, ratios are medians. For a GPU see
benchmarks/gpu/README.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.figures import note
from benchmarks.machine import GOALS, OTHERWISE, kind
from benchmarks.reference_detector import Reference
from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.precision import multiplies_bf16, multiplies_int8
from s2sw.model.prompts.families import WORDS
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.untrained import CONTEXT, VIT_L_14_336, Shape, untrained_clip

SIDE = 518
QUICK_ROUNDS = 3
END = 20
"""Where the random prompts end, of CONTEXT tokens."""
VARIANTS = ("reference", "fp32", "bf16", "int8")


def make_bundle(folder: Path, of: Shape = VIT_L_14_336, side: int = SIDE) -> Path:
    """Build a bundle of random weights in folder/bundle; its prompts are random too, in no words."""
    clip = untrained_clip(of, seed=1)
    generator = torch.Generator().manual_seed(2)
    words = {family: torch.randn(2, CONTEXT, of.text_width, generator=generator) for family in WORDS}
    embedded = {family: (prompts, torch.full((2,), END)) for family, prompts in words.items()}
    contexts = torch.randn(2, 14, of.text_width, generator=generator)
    prompts = LearnedPrompts(contexts[0], contexts[1], (), embedded)
    return build_bundle(folder / "bundle", clip, prompts=prompts, image_size=side, trained=False)


def pictures(count: int, side: int = SIDE) -> Tensor:
    """Return smooth fields with noise, normalised, float32 (count, 3, side, side)."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn(count, 3, 9, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic")
    return smooth + 0.1 * torch.randn(smooth.shape, generator=generator)


def load(variant: str, bundle: Path) -> Callable[[Tensor], list[np.ndarray]]:
    """Return a function from pictures (B, 3, S, S) to their token maps, full maps included in the time."""
    if variant == "reference":
        plain = Reference(read_record(bundle), dict(load_file(bundle / "weights.safetensors")))
        return lambda x: [plain.detect(one)[1] for one in x]
    detector = load_detector(bundle, precision=variant)

    def run(x: Tensor) -> list[np.ndarray]:
        out = detector.detect_normalized(x)
        detector.full_map(out.token_map)
        return list(out.token_map.numpy())

    return run


def variants_here() -> list[str]:
    """Return the variants to compare: those that this CPU has products for."""
    cpu = torch.device("cpu")
    missing = {"bf16": not multiplies_bf16(cpu), "int8": not multiplies_int8(cpu)}
    return [variant for variant in VARIANTS if not missing.get(variant)]


class Clock:
    """CPU seconds of this process on a CPU, wall-clock seconds of finished work on a GPU."""

    def __init__(self, device: str) -> None:
        self.gpu = device == "cuda"

    def now(self) -> float:
        if not self.gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, run: Callable[..., object], *args: object) -> float:
        started = self.now()
        run(*args)
        return self.now() - started


def compare(bundle: Path, rounds: int) -> None:
    """Interleave the variants over the same pictures; print medians, ratios and agreement."""
    clock = Clock("cpu")
    variants = variants_here()
    runs = {variant: load(variant, bundle) for variant in variants}
    x = pictures(2)
    maps = {variant: np.stack(run(x)) for variant, run in runs.items()}
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    for index in range(rounds):
        for variant, run in runs.items():
            times[variant].append(clock.seconds(run, x[index % 2 :][:1]))
    for variant in variants:
        ratios = [r / t for r, t in zip(times["reference"], times[variant], strict=True)]
        apart = np.abs(maps[variant] - maps["reference"])
        print(
            f"{variant:<10} {1 / statistics.median(times[variant]):6.3f} images/s   "
            f"{statistics.median(ratios):5.2f} x reference ({min(ratios):.2f}..{max(ratios):.2f})   "
            f"peak {peak_memory(variant, bundle):6.0f} MB   "
            f"map difference mean {apart.mean():.1e} max {apart.max():.1e}"
        )


def compare_quickly(bundle: Path) -> None:
    """Take one picture through each variant in turns; print ratios of the least times, and agreement.

    The first turn warms up.
    """
    clock, x = Clock("cpu"), pictures(1)
    runs = {variant: load(variant, bundle) for variant in variants_here()}
    times: dict[str, list[float]] = {variant: [] for variant in runs}
    maps: dict[str, np.ndarray] = {}
    for _ in range(QUICK_ROUNDS):
        for variant, run in runs.items():
            started = clock.now()
            maps[variant] = np.stack(run(x))
            times[variant].append(clock.now() - started)
    goals = dict(zip(VARIANTS[1:], GOALS.get(kind(), OTHERWISE), strict=True))
    for variant in variants_here()[1:]:
        ratio = min(times["reference"]) / min(times[variant])
        apart = float(np.abs(maps[variant] - maps["reference"]).max())
        print(f"{variant:<10} {ratio:5.2f} x reference   map difference max {apart:.1e}")
        note(f"ViT-L/14@336 in {variant} against the plain detector", ratio, at_least=goals[variant])
        note(f"its token map against the plain one's, {variant}, largest difference", apart, "of 1")


def peak_memory(variant: str, bundle: Path) -> float:
    """Return the peak of a fresh process that loads the variant and screens one picture, MB."""
    command = [sys.executable, "-m", "benchmarks.detector_speed"]
    command += ["--threads", str(torch.get_num_threads()), "--peak", variant, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def print_peak(variant: str, bundle: Path) -> None:
    load(variant, bundle)(pictures(1))
    # not getrusage: its maximum is inherited from the process that started this one
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1e3)


@torch.inference_mode()
def stages(bundle: Path, device: str, precision: str, batch: int, rounds: int) -> dict[str, float]:
    """Return median seconds a batch of each stage of the fast path."""
    detector = load_detector(bundle, device=device, precision=precision)
    assert isinstance(detector, S2swClip)
    clock, rows = Clock(device), []
    side = detector.image_size
    x = np.random.default_rng(3).integers(0, 255, (batch, side, side, 3), np.uint8)
    for _ in range(rounds + 1):
        marks = [clock.now()]
        there = detector.prepare(x)
        marks.append(clock.now())
        seen = detector.streams(there)
        marks.append(clock.now())
        detector.families(detector.image_feature(seen.final))
        tokens = detector.token_map(detector.tower.project(seen.taps[0]))
        marks.append(clock.now())
        whole = detector.full_map(tokens)
        marks.append(clock.now())
        mask = whole > 0.5
        marks.append(clock.now())
        tokens.cpu(), mask.cpu()
        marks.append(clock.now())
        rows.append(np.diff(marks))
    names = ("copy in and normalise", "tower", "head", "full map", "mask", "copy out")
    return dict(zip(names, np.median(rows[1:], axis=0).tolist(), strict=True))


def breakdown(bundle: Path, precision: str, rounds: int) -> None:
    found = stages(bundle, "cpu", precision, 1, rounds)
    parts = "   ".join(f"{name} {1e3 * t:.1f} ms" for name, t in found.items())
    print(f"{precision}, one picture: {parts}   head / tower {100 * found['head'] / found['tower']:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one picture, ratios alone")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--peak", nargs=2, metavar=("VARIANT", "BUNDLE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.peak:
        print_peak(args.peak[0], Path(args.peak[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder))
        print(f"torch {torch.__version__}, {args.threads} CPU threads, ViT-L/14@336, {SIDE} px")
        if args.quick:
            compare_quickly(bundle)
            return
        compare(bundle, args.rounds)
        for precision in variants_here()[1:]:
            breakdown(bundle, precision, args.rounds)


if __name__ == "__main__":
    main()
