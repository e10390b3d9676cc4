"""What ranking by a profile costs a picture: python -m benchmarks.profile_cost [--pictures 12] [--rounds 5]

A detector alone, and with what a profile adds (features, the comparison with as many pictures as of a full
bank, both scores in one), for one picture in turn: the embedded one, or ViT-L/14@336 at 518 px with random
weights. The bank is of noise: what it holds does not change how long it takes. Median ratio over the rounds,
lowest and highest; CPU seconds of one thread, which other programs beside it move less than the time on the
clock.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.detector_speed import make_bundle
from benchmarks.figures import note
from s2sw.model import load_detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.precision import Precision, token_type
from s2sw.model.rarity.bank import SIMILAR, Bank, make_bank
from s2sw.model.rarity.combination import combination_of, combine, evidence_of, usual_of
from s2sw.model.rarity.features import compared_taps, features_of

GOALS = {"embedded": 1.35, "ViT-L-14-336": 1.1}


def seconds(call: Callable[[], object], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - started) / times


def megabytes(bank: Bank) -> float:
    tensors = (bank.descriptions, *bank.bases, *bank.patches)
    return sum(one.numel() * one.element_size() for one in tensors) / 1e6


def measure(name: str, bundle: Path, precision: Precision, pictures: int, rounds: int) -> None:
    detector = load_detector(bundle, "cpu", precision)
    side = detector.image_size
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    _, taps = detector.detect_with_patches(picture)
    shapes = [tap.shape[1:] for tap in compared_taps(taps)]
    torch.manual_seed(0)
    bank = make_bank([features_of([torch.randn(1, *s) for s in shapes])[0] for _ in range(SIMILAR)])
    rare = torch.rand(48, len(shapes), len(bank.patches[0][0]))
    scores, tokens = torch.rand(48), torch.rand(48, rare.shape[-1])
    usual = usual_of(scores, tokens, rare)
    combination = combination_of(usual, evidence_of(usual, scores, tokens, rare), 0.7)

    def ranked() -> None:
        found, taps = detector.detect_with_patches(picture)
        (own,) = features_of(compared_taps(taps))
        similar = bank.most_similar(own.description)
        beside = bank.compare_with(similar, bank.of_picture(own), token_type(precision))
        assert beside is not None
        combine(combination, found.score[0], found.token_map[0].flatten(), beside)

    ways: tuple[Callable[[], object], ...] = (lambda: detector.detect(picture), ranked)
    for way in ways:
        way()
    both = [tuple(seconds(way, pictures) for way in ways) for _ in range(rounds)]
    ratios = sorted(with_profile / alone for alone, with_profile in both)
    alone, with_profile = (1000 * statistics.median(column) for column in zip(*both, strict=True))
    size = f"{megabytes(bank) / SIMILAR:.2f} MB"
    ratio = statistics.median(ratios)
    spread = f"{ratio:.2f} ({ratios[0]:.2f}..{ratios[-1]:.2f})"
    note(f"{name} detector with a profile against zero-shot, {precision}", ratio, at_most=GOALS[name])
    print(f"| {precision} | {alone:.0f} ms | {with_profile:.0f} ms | {spread} | {size} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--detector", choices=tuple(GOALS), default="embedded")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| one thread | zero-shot | with a profile | ratio | a bank's picture |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="s2sw-benchmark-") as folder:
        own = options.detector == "embedded"
        bundle = resolve_bundle("embedded") if own else make_bundle(Path(folder))
        for precision in ("fp32", "bf16"):
            measure(options.detector, bundle, precision, options.pictures, options.rounds)


if __name__ == "__main__":
    main()
