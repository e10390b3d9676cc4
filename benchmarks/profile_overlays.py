"""What a profile brings to the top of an archive: python -m benchmarks.profile_overlays OUT.webp

Of a generated archive (as of ``benchmarks.profile_archives``; nobody's pictures): in the upper row those with
the highest zero-shot scores, in the lower one those with the highest rank scores, each above itself under the
map of that score. Anomalous ones have a green frame, and their defects a white outline.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.profile_archives import Arrays, generated, scenes_of
from benchmarks.profile_quality import auroc, grown, judged, tensors
from s2sw.model import load_detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.precision import Precision
from s2sw.model.rarity.combination import evidence_of, patch_sum, picture_sum
from s2sw.pipeline.imaging.overlays import laid_over

SHOWN, SIDE, FRAME = 7, 128, 5
CELL = SIDE + 2 * FRAME
FOUND, NOT = (35, 139, 69), (200, 200, 200)


def strip(facts: Arrays, scores: Tensor, maps: Tensor) -> Image.Image:
    """Return the pictures with the highest scores, each above itself with its map."""
    sheet = Image.new("RGB", (SHOWN * CELL, SIDE + CELL + FRAME), "white")
    for place, row in enumerate(scores.argsort(descending=True)[:SHOWN].tolist()):
        plain = Image.fromarray(facts["pix"][row]).resize((SIDE, SIDE))
        side = facts["pix"].shape[1]
        mask = np.unpackbits(facts["mask"][row], count=side * side).reshape(side, side)
        shown = np.asarray(Image.fromarray(mask).resize((SIDE, SIDE), Image.Resampling.NEAREST), bool)
        frame = FOUND if facts["label"][row] else NOT
        left = place * CELL
        ImageDraw.Draw(sheet).rectangle((left + 1, 0, left + CELL - 2, sheet.height - 1), fill=frame)
        (heat,) = grown(maps[row : row + 1], SIDE)
        sheet.paste(plain, (left + FRAME, FRAME))
        sheet.paste(laid_over(np.asarray(plain), heat, shown), (left + FRAME, SIDE + 2 * FRAME))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--archive", type=int, default=25, help="number of the generated archive")
    parser.add_argument("--precision", choices=get_args(Precision), default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle("embedded"), "cpu", options.precision)
    facts = generated(options.archive, detector)
    facts["pix"] = np.array([scene.picture for scene in scenes_of(options.archive)[1]])
    usual, weight, _ = judged(facts, facts)
    found = evidence_of(usual, *tensors(facts, ""))
    rows = []
    for name, share in (("zero-shot", 0.0), ("with the profile", weight)):
        scores = picture_sum(found, share)
        rows.append(strip(facts, scores, patch_sum(found, share)))
        hits = int(facts["label"][scores.argsort(descending=True)[:SHOWN].numpy()].sum())
        print(f"{name}: {hits} of the first {SHOWN} are anomalous, AUROC {auroc(facts['label'], scores):.3f}")
    sheet = Image.new("RGB", (rows[0].width, 2 * rows[0].height + 2 * FRAME), "white")
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * (row.height + 2 * FRAME)))
    sheet.save(options.out, quality=75)
    print(f"{options.out}: {options.out.stat().st_size // 1024} kB, weight {weight:g}")


if __name__ == "__main__":
    main()
