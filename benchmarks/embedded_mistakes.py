"""The embedded detector's worst mistakes: python -m benchmarks.embedded_mistakes FOLDER OUT.jpg

The normal pictures with the highest scores in the upper row, the anomalous ones with the lowest in the lower
one, each with its map and the outline of its mask. FOLDER: a labelled data set, or ``cells``: elpv-dataset.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image, ImageDraw

from benchmarks.embedded_quality import Labelled, colour, labelled, solar_cells
from s2sw.model import load_detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.precision import Precision
from s2sw.pipeline.imaging.overlays import laid_over

SHOWN, SIDE, CAPTION = 5, 150, 16


def tile(sample: Labelled, score: float, heat: np.ndarray) -> Image.Image:
    """The picture over itself with its map, squashed to squares."""
    picture, mask = sample.read()
    plain = Image.fromarray(colour(picture)).resize((SIDE, SIDE))
    hit = np.zeros((SIDE, SIDE), bool)
    if mask is not None:
        hit = np.asarray(Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.NEAREST), bool)
    canvas = Image.new("RGB", (SIDE, 2 * SIDE + CAPTION), "white")
    ImageDraw.Draw(canvas).text((3, 2), f"{score:.3f}", fill="black")
    canvas.paste(plain, (0, CAPTION))
    canvas.paste(laid_over(np.asarray(plain), heat, hit), (0, CAPTION + SIDE))
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32")
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle("embedded"), precision=args.precision)
    samples = list(solar_cells() if args.folder == "cells" else labelled(args.folder))
    seen = [detector.detect(colour(sample.read()[0])[None]) for sample in samples]
    score = np.array([float(one.score) for one in seen])
    anomalous = np.array([sample.anomalous for sample in samples])
    order = np.argsort(score)
    rows = [[i for i in order[::-1] if not anomalous[i]][:SHOWN], [i for i in order if anomalous[i]][:SHOWN]]
    sheet = Image.new("RGB", (SHOWN * (SIDE + 4), 2 * (2 * SIDE + CAPTION + 6)), "white")
    for line, row in enumerate(rows):
        for place, i in enumerate(row):
            heat = detector.full_map(seen[i].token_map.numpy(), (SIDE, SIDE))[0]
            one = tile(samples[i], score[i], heat)
            sheet.paste(one, (place * (SIDE + 4), line * (2 * SIDE + CAPTION + 6)))
    sheet.save(args.out, quality=70)
    print(f"{args.out}: {args.out.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
