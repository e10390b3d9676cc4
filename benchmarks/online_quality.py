"""What ranking by what came before is worth: python -m benchmarks.online_quality [--pictures 150] [--seed 3]

A stream of solar cells (elpv), a tenth of them defective, in a random order, through the embedded detector
and banks of two sizes. AUROC of pictures for the zero-shot score, rarity and rank score, of those that have
one; and the bank's CPU seconds a picture on one thread.
"""

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.profile_sets import Picture, elpv
from s2sw.model import load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.rarity.online import PROTOTYPES, OnlineBank, Past

SIZES = (PROTOTYPES, PROTOTYPES // 4)


class Seen(NamedTuple):
    """A picture: whether it is defective, its score (), map (N,) and taps (N, D), halved to save memory."""

    anomalous: bool
    score: Tensor
    tokens: Tensor
    taps: list[Tensor]


class Outcome(NamedTuple):
    anomalous: bool
    score: float
    rarity: float
    rank: float


def drawn(count: int, seed: int) -> list[Picture]:
    """Return the stream: nine in ten of the cells without a defect, the others with one."""
    pictures, rng = list(elpv()), np.random.default_rng(seed)
    good, bad = ([one for one in pictures if one.anomalous is kind] for kind in (False, True))
    most = round(0.9 * count)
    chosen = [good[i] for i in rng.permutation(len(good))[:most]]
    chosen += [bad[i] for i in rng.permutation(len(bad))[: count - most]]
    return [chosen[i] for i in rng.permutation(count)]


def see(detector: Detector, picture: Picture) -> Seen:
    found, taps = detector.detect_with_patches(picture.seen(detector.image_size).pixels[None])
    return Seen(
        picture.anomalous, found.score[0], found.token_map[0].flatten(), [tap[0].half() for tap in taps]
    )


def ranked(stream: list[Seen], most: int) -> tuple[list[Outcome], float]:
    """Return what is said of those pictures that have a rank, and the bank's seconds a picture."""
    bank, found, started = OnlineBank(most), [], time.process_time()
    for number, one in enumerate(stream):
        taps, name = [tap.float() for tap in one.taps], str(number)
        rare = bank.rare(taps, name)
        said = None if rare is None else bank.rank(one.score, one.tokens, rare)
        evidence = None if rare is None else (one.score, one.tokens, rare)
        bank = bank.after(taps, Past(name, "", evidence))
        if said is not None:
            found.append(Outcome(one.anomalous, float(one.score), said.rarity, said.rank))
    return found, (time.process_time() - started) / len(stream)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle("embedded"))
    with torch.inference_mode():
        stream = [see(detector, one) for one in drawn(args.pictures, args.seed)]
        for most in SIZES:
            found, seconds = ranked(stream, most)
            truth = [one.anomalous for one in found]
            areas = ", ".join(
                f"{name} {roc_auc_score(truth, [getattr(one, name) for one in found]):.3f}"
                for name in ("score", "rarity", "rank")
            )
            print(f"{most} prototypes, {len(found)} pictures: {areas}; {seconds:.3f} s a picture", flush=True)


if __name__ == "__main__":
    main()
