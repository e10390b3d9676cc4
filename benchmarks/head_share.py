"""What a detector costs beside its tower alone: python -m benchmarks.head_share [SYSTEM ...]

ViT-L/14@336's shapes with random weights, each system at its published input size, one picture, one thread.
CPU seconds of one run, the tower alone and the whole detector in turn; with --references K also with K normal
pictures in the memory. Times are the least of the rounds: what else a machine does makes them longer. The
range is that of the rounds' own ratios. --alone leaves the tower out and gives the least time of what the
detector adds, which takes seconds and hardly depends on what else the machine does.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.detector_speed import Clock
from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.registry import detector_kind
from s2sw.model.detectors.tower_detector import TowerDetector, TwoStreamDetector
from s2sw.model.precision import multiplies_bf16
from s2sw.model.towers.visual import TowerOutput
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.untrained import VIT_L_14_336, untrained_clip
from tests.support import checkpoints

SYSTEMS = ("adaptclip", "af_clip", "aa_clip", "mvfa")
WITH_REFERENCES = ("adaptclip", "af_clip", "mvfa")


def options(system: str, clip: ClipWeights, folder: Path) -> dict[str, Any]:
    """Write checkpoints of the published sizes, and return what a bundle is built from."""

    def file(name: str, found: Any) -> Path:
        return checkpoints.saved(found, folder / f"{system}_{name}")

    joint = clip.vision.embed_dim
    if system == "adaptclip":
        found = checkpoints.adaptclip(clip, contexts=12, hidden=joint // 4, wide=128)
        return {"checkpoint": file("epoch_15.pth", found)}
    if system == "af_clip":
        prompt, adaptor = checkpoints.af_clip_prompt(clip, 12), checkpoints.af_clip_adaptor(clip)
        return {"prompt": file("prompt.pt", prompt), "adaptor": file("adaptor.pt", adaptor)}
    if system == "aa_clip":
        image = checkpoints.aa_clip_image(clip, blocks=6)
        return {"image_adapter": file("image.pth", image), "class_name": "bottle"}
    return {"checkpoint": file("Brain.pth", checkpoints.mvfa(clip)), "class_name": "Brain"}


def pictures(count: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, 3, side, side, generator=generator)


@torch.inference_mode()
def tower_alone(detector: TowerDetector, x: Tensor) -> None:
    """Run the tower as the detector reads it, without anything that the detector adds."""
    embedded = detector.tower.embed(x)
    if isinstance(detector, TwoStreamDetector):
        detector.tower.two_stream(embedded, detector.start, detector.tap_blocks)
    else:
        detector.tower.plain(embedded, detector.tap_blocks)


def measure(
    detector: TowerDetector, device: str, batch: int, rounds: int
) -> tuple[float, float, list[float]]:
    """Return the least seconds a picture of the tower and of the detector, and each round's ratio."""
    clock, x = Clock(device), pictures(batch, detector.image_size).to(device)
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        alone = clock.seconds(tower_alone, detector, x)
        times.append((alone / batch, clock.seconds(detector.detect_normalized, x) / batch))
    kept = times[1:]
    alone, whole = (min(column) for column in zip(*kept, strict=True))
    return alone, whole, [b / a for a, b in kept]


def head_alone(detector: TowerDetector, device: str, batch: int, rounds: int) -> float:
    """Return the least seconds a picture of a detector whose tower gives random tokens at once."""
    shape, tower = detector.record.vision, detector.tower
    count = detector.grid**2 + 1
    taps = [
        torch.randn(batch, count, shape.width).to(device, tower.conv1.weight.dtype)
        for _ in detector.tap_blocks
    ]
    stubs = {
        "embed": lambda x: x,
        "plain": lambda *_, **__: (taps[-1], taps),
        "two_stream": lambda *_: TowerOutput(taps[-1][:, 0], taps),
    }
    for name, stub in stubs.items():
        setattr(tower, name, stub)
    clock, x = Clock(device), pictures(batch, detector.image_size).to(device)
    return min(clock.seconds(detector.detect_normalized, x) for _ in range(rounds + 1)) / batch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", default=SYSTEMS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--references", type=int, default=0)
    parser.add_argument("--precision", nargs="*", default=["fp32", "bf16"])
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    clip = untrained_clip(VIT_L_14_336, seed=1)
    batch = 1 if args.device == "cpu" else 8
    for system in args.systems:
        side = detector_kind(system).image_size
        several = {0, args.references if system in WITH_REFERENCES else 0}
        for count in sorted(several):
            with tempfile.TemporaryDirectory() as name:
                given = options(system, clip, Path(name))
                normal = {"references": pictures(count, side)} if count else {}
                bundle = build_bundle(
                    Path(name) / "b", clip, detector=system, image_size=side, trained=False, **given, **normal
                )
                for precision in args.precision:
                    if precision == "bf16" and not multiplies_bf16(torch.device(args.device)):
                        continue
                    detector = load_detector(bundle, args.device, precision)
                    assert isinstance(detector, TowerDetector)
                    if args.alone:
                        least = head_alone(detector, args.device, batch, args.rounds)
                        print(
                            f"{system:<10} {count} references {precision}: head {1e3 * least:5.0f} ms",
                            flush=True,
                        )
                        continue
                    alone, whole, ratios = measure(detector, args.device, batch, args.rounds)
                    print(
                        f"{system:<10} {count} references {precision}: tower {1e3 * alone:7.0f} ms, detector "
                        f"{1e3 * whole:7.0f} ms, {whole / alone:.3f} x the tower "
                        f"({min(ratios):.3f}..{max(ratios):.3f})",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
