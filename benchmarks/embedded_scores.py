"""What the embedded detector's scores mean: python -m benchmarks.embedded_scores [--results FOLDER]

On generated pictures that neither training nor calibration saw: expected calibration error and a reliability
diagram, half of the pictures with a defect, half of them of surfaces that training never draws. Then what is
no picture of anything (noise, black, white, a gradient), the same pictures at other sizes and brightnesses,
and, of a folder of results, how the scores of its slices spread.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from s2sw.model import load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.embedded_training.calibration import calibration_error, reliability
from s2sw.model.embedded_training.check import auroc, labels_of
from s2sw.model.embedded_training.pictures import draw_scenes
from s2sw.model.precision import Precision
from s2sw.model.synthetic.camera import PICTURE
from s2sw.model.synthetic.scenes import held_out_mixture, training_mixture
from s2sw.pipeline.results import open_results

SEED = 2024
FACTORS = (0.7, 0.85, 1.2, 1.5)
SIDE, MARGIN = 320, 40

Pictures = list[NDArray[np.uint8]]


def scores(detector: Detector, pictures: Pictures) -> torch.Tensor:
    return torch.cat([detector.detect(picture[None]).score for picture in pictures])


def resized(picture: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    side = round(len(picture) * factor)
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def brighter(picture: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    return np.clip(picture.astype(np.float32) * factor, 0, 255).astype(np.uint8)


def nothing() -> dict[str, NDArray[np.uint8]]:
    """Pictures of nothing."""
    rng = np.random.default_rng(SEED)
    plain = np.zeros((PICTURE, PICTURE, 3), np.uint8)
    slope = np.broadcast_to(np.linspace(0, 255, PICTURE, dtype=np.uint8)[:, None], (PICTURE, PICTURE))
    return {
        "noise": rng.integers(0, 256, plain.shape, dtype=np.uint8),
        "faint noise": rng.normal(128, 20, plain.shape).clip(0, 255).astype(np.uint8),
        "black": plain,
        "white": plain + 255,
        "grey": plain + 128,
        "gradient": np.repeat(slope[..., None], 3, axis=2),
    }


def diagram(bins: list[tuple[int, float, float]], path: Path) -> None:
    """Draw share of defects over mean score, an area a bin for its count."""
    whole = SIDE + 2 * MARGIN
    canvas = Image.new("RGB", (whole, whole), "white")
    pen = ImageDraw.Draw(canvas)

    def at(score: float, share: float) -> tuple[float, float]:
        return MARGIN + SIDE * score, MARGIN + SIDE * (1 - share)

    pen.line([at(0, 0), at(1, 1)], fill=(170, 170, 170))
    pen.rectangle([*at(0, 1), *at(1, 0)], outline=(90, 90, 90))
    largest = max(count for count, _, _ in bins)
    for count, score, share in bins:
        x, y = at(score, share)
        radius = 3 + 9 * (count / largest) ** 0.5
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(40, 90, 160))
        pen.text((x + radius + 2, y - 5), str(count), fill=(90, 90, 90))
    for tick in (0, 0.5, 1):
        pen.text((at(tick, 0)[0] - 6, MARGIN + SIDE + 6), f"{tick:g}", fill=(60, 60, 60))
        pen.text((MARGIN - 22, at(0, tick)[1] - 6), f"{tick:g}", fill=(60, 60, 60))
    pen.text((MARGIN, 12), "share with a defect, over the score; number of pictures", fill=(60, 60, 60))
    canvas.save(path, quality=85)


def calibration(detector: Detector, pictures: int, file: Path | None) -> Pictures:
    """Print figures of generated pictures; return the normal ones."""
    rng, normal = np.random.default_rng([SEED, 1]), []
    rows, marks = [], []
    for name, mixture in (("held out", held_out_mixture()), ("trained", training_mixture(0.8))):
        found = []
        for _ in range(pictures // 4):
            pair = [scene.picture for scene in draw_scenes(rng, mixture, 2)]
            normal.append(pair[0])
            found.append(scores(detector, pair))
        of_kind = torch.cat(found)
        print(f"{name} kinds: image AUROC {auroc(of_kind, labels_of(of_kind)):.3f}", flush=True)
        rows.append(of_kind)
        marks.append(labels_of(of_kind))
    every, labels = torch.cat(rows), torch.cat(marks)
    print(f"{len(every)} pictures, expected calibration error {calibration_error(every, labels):.4f}")
    bins = reliability(every, labels)
    for count, score, share in bins:
        print(f"  score {score:.3f}: {share:.3f} of {count} have a defect")
    if file:
        diagram(bins, file)
    return normal


def robustness(detector: Detector, normal: Pictures) -> None:
    good = scores(detector, normal)
    print(f"median of {len(good)} normal generated pictures {float(good.median()):.3f}")
    for name, picture in nothing().items():
        print(f"  {name:12} {float(scores(detector, [picture])):.3f}")
    for name, change in (("size", resized), ("brightness", brighter)):
        for factor in FACTORS:
            moved = (scores(detector, [change(picture, factor) for picture in normal]) - good).abs()
            print(
                f"  {name} x {factor}: scores move by {float(moved.mean()):.3f} on average, "
                f"{float(moved.median()):.3f} median, {float(moved.quantile(0.9)):.3f} ninth decile"
            )


def spread(results: str) -> None:
    rows = open_results(results).sql("SELECT image_score FROM slices").fetchall()
    found = np.array([score for (score,) in rows])
    quartiles = ", ".join(f"{q:.3f}" for q in np.quantile(found, [0, 0.25, 0.5, 0.75, 1]))
    print(f"{results}: {len(found)} slices, {np.mean(found > 0.99):.1%} above 0.99; quartiles {quartiles}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", default="embedded")
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32")
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--diagram", type=Path)
    parser.add_argument("--results", help="a folder that `s2sw screen` or `s2sw demo` wrote")
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle(args.bundle), precision=args.precision)
    robustness(detector, calibration(detector, args.pictures, args.diagram)[:40])
    if args.results:
        spread(args.results)


if __name__ == "__main__":
    main()
