"""How fast the detector is next to a plain one: same weights, same pictures, one run.

    python -m benchmarks.detector_speed                      # CPU
    python -m benchmarks.detector_speed --device cuda        # GPU: batches, share of the matmul peak

ViT-L/14@336 shapes with random weights, 518 x 518 px. On a CPU one thread runs and its CPU seconds are
counted, so that other work on the machine counts little; variants are interleaved, ratios are medians.
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

from benchmarks.reference_detector import Reference
from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.precision import multiplies_bf16
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.untrained import VIT_L_14_336, untrained_clip

SIDE = 518
VARIANTS = ("reference", "fp32", "bf16")


def make_bundle(folder: Path) -> Path:
    clip = untrained_clip(VIT_L_14_336, seed=1)
    vectors = torch.randn(2, 14, VIT_L_14_336.text_width, generator=torch.Generator().manual_seed(2))
    prompts = LearnedPrompts(vectors[0], vectors[1], ())
    return build_bundle(folder / "bundle", clip, prompts=prompts, image_size=SIDE, trained=False)


def pictures(count: int) -> Tensor:
    """Smooth fields with noise, normalised, (count, 3, S, S)."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.randn(count, 3, 9, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic")
    return smooth + 0.1 * torch.randn(smooth.shape, generator=generator)


def load(variant: str, bundle: Path, device: str) -> Callable[[Tensor], list[np.ndarray]]:
    """Return a function from pictures (B, 3, S, S) to their token maps, full maps included in the time."""
    if variant == "reference":
        tensors = {n: t.to(device) for n, t in load_file(bundle / "weights.safetensors").items()}
        plain = Reference(read_record(bundle), tensors)
        return lambda x: [plain.detect(one)[1] for one in x.to(device)]
    detector = load_detector(bundle, device=device, precision=variant)

    def run(x: Tensor) -> list[np.ndarray]:
        out = detector.detect_normalized(x)
        detector.full_map(out.token_map.to(device))
        return list(out.token_map.numpy())

    return run


def variants_on(device: str) -> list[str]:
    """Return the variants to compare: bf16 is left out on a CPU without bfloat16 products."""
    return [v for v in VARIANTS if v != "bf16" or multiplies_bf16(torch.device(device))]


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


def compare(bundle: Path, device: str, rounds: int) -> None:
    """Interleave the variants over the same pictures; print medians, ratios and agreement."""
    clock = Clock(device)
    variants = variants_on(device)
    runs = {variant: load(variant, bundle, device) for variant in variants}
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
            f"peak {peak_memory(variant, bundle, device):6.0f} MB   "
            f"map difference mean {apart.mean():.1e} max {apart.max():.1e}"
        )


def peak_memory(variant: str, bundle: Path, device: str) -> float:
    """Return the peak of a fresh process that loads the variant and screens one picture, MB."""
    command = [sys.executable, "-m", "benchmarks.detector_speed", "--device", device]
    command += ["--threads", str(torch.get_num_threads()), "--peak", variant, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def print_peak(variant: str, bundle: Path, device: str) -> None:
    load(variant, bundle, device)(pictures(1))
    if device == "cuda":
        print(torch.cuda.max_memory_allocated() / 1e6)
    else:
        # not getrusage: its maximum is inherited from the process that started this one
        status = Path("/proc/self/status").read_text()
        print(int(status.split("VmHWM:")[1].split()[0]) / 1e3)


@torch.inference_mode()
def stages(bundle: Path, device: str, precision: str, batch: int, rounds: int) -> dict[str, float]:
    """Return median seconds a batch of each stage of the fast path."""
    detector = load_detector(bundle, device=device, precision=precision)
    assert isinstance(detector, S2swClip)
    clock, rows = Clock(device), []
    x = np.random.default_rng(3).integers(0, 255, (batch, SIDE, SIDE, 3), np.uint8)
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


def breakdown(bundle: Path, device: str, precision: str, batch: int, rounds: int) -> None:
    found = stages(bundle, device, precision, batch, rounds)
    parts = "   ".join(f"{name} {1e3 * t / batch:.1f} ms" for name, t in found.items())
    print(f"{precision} batch {batch}: {parts}   head / tower {100 * found['head'] / found['tower']:.1f} %")


def tower_flop(grid: int) -> float:
    """Floating-point operations of the tower's products for one picture, as the fast path does them."""
    n, w, layers, start = grid**2 + 1, VIT_L_14_336.width, VIT_L_14_336.layers, 6
    attention, mlp, out, qkv = 4 * n * n * w, 16 * n * w * w, 2 * n * w * w, 6 * n * w * w
    plain = qkv + attention + out + mlp
    two = layers - start + 1
    last = mlp + attention + out  # of the last block's original stream only the class token is computed
    return layers * plain + two * (attention + out) - last + 2 * n * w * 3 * VIT_L_14_336.patch**2


def matmul_peak(device: str) -> float:
    """Return the measured rate of a large bf16 product, operations a second."""
    a, b = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / min(Clock(device).seconds(torch.matmul, a, b) for _ in range(20))


def on_gpu(bundle: Path, rounds: int, compile_tower: bool) -> None:
    """Print rate, share of the bf16 peak and memory for growing batches."""
    peak, reference = matmul_peak("cuda"), load("reference", bundle, "cuda")
    one, clock = pictures(1), Clock("cuda")
    reference(one)
    slow = statistics.median(clock.seconds(reference, one) for _ in range(rounds))
    print(f"measured bf16 product: {peak / 1e12:.0f} TFLOP/s; reference {1 / slow:.1f} images/s")
    detector = load_detector(bundle, device="cuda", precision="bf16")
    assert isinstance(detector, S2swClip)
    if compile_tower:
        detector.tower.two_stream = torch.compile(detector.tower.two_stream, mode="max-autotune")
    for batch in (1, 8, 32, 128):
        x = one.expand(batch, -1, -1, -1).to("cuda")
        detector.detect_normalized(x)
        torch.cuda.reset_peak_memory_stats()
        times = [clock.seconds(detector.detect_normalized, x) for _ in range(rounds)]
        each = statistics.median(times) / batch
        share = tower_flop(detector.grid) / each / peak
        print(
            f"batch {batch:>3}: {1 / each:8.1f} images/s   {slow / each:6.1f} x reference   "
            f"{100 * share:4.1f} % of the peak   {torch.cuda.max_memory_allocated() / 1e9:5.2f} GB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--compile", action="store_true", help="compile the tower (GPU)")
    parser.add_argument("--peak", nargs=2, metavar=("VARIANT", "BUNDLE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.backends.cudnn.allow_tf32 = False  # the plain detector's convolution is float32 as well
    if args.peak:
        print_peak(args.peak[0], Path(args.peak[1]), args.device)
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder))
        print(
            f"torch {torch.__version__}, {args.device}, {args.threads} CPU threads, ViT-L/14@336, {SIDE} px"
        )
        compare(bundle, args.device, args.rounds)
        for precision in variants_on(args.device)[1:]:
            breakdown(bundle, args.device, precision, 1 if args.device == "cpu" else 32, args.rounds)
        if args.device == "cuda":
            on_gpu(bundle, args.rounds, args.compile)


if __name__ == "__main__":
    main()
