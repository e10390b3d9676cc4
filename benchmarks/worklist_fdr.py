"""What a worklist's figures are worth: python -m benchmarks.worklist_fdr [--repeats 200] [--data DIR]

Generated archives with known anomalies: the share of false alarms on a list beside the one that was asked
for, with two standard errors, and the share of anomalies found, beside a threshold that flags 1 % of the
past (what ``s2sw threshold --target-rate 0.01`` proposes). The past is clean; or holds the same share of
anomalies; or does, and reviewers decided on the highest of it, twice as many as there are anomalies in it.
p-values of what is usual against the uniform distribution (Kolmogorov and Smirnov, 1e5 of them).

DATA: a folder with magnetic_tile in MVTec's layout; with it and elpv, which comes from its package, the same
on zero-shot scores of the embedded detector: half of the sound pictures are the past, the others and the
anomalous ones the night, drawn anew each time. Seconds of a worklist from rows: --rows N writes two nights of
N objects.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstest

from s2sw.pipeline.evidence.discoveries import q_values
from s2sw.pipeline.evidence.references import Past, Scored, p_values
from s2sw.pipeline.flagging.thresholds import TooFewError, for_rate

LEVELS = (0.05, 0.1, 0.2)
SHARES = (0.01, 0.05, 0.1)
PAST, NIGHT = 20_000, 2_000
LENGTHS = (1, 1, 1, 2, 24, 40)
"""Slices of the generated objects, each as likely."""
RATE = 0.01
Draw = Callable[[np.random.Generator], tuple[Scored, Scored, NDArray[np.bool_]]]
"""Gives a past, a night, and which of the night are anomalies."""


def generated(rng: np.random.Generator, count: int, share: float) -> tuple[Scored, NDArray[np.bool_]]:
    """Return objects of two groups and several lengths; an anomaly is in a few of its object's slices."""
    anomalous = rng.random(count) < share
    groups = rng.choice(["CT/axial", "MR/axial"], count)
    lengths = rng.choice(LENGTHS, count)
    scores = np.empty(count, np.float32)
    for length in set(LENGTHS):
        own = lengths == length
        usual = rng.normal(size=(own.sum(), 1)) + rng.normal(size=(own.sum(), length))
        usual[:, : max(1, length // 10)] += np.where(anomalous[own], rng.normal(5, 1.5, own.sum()), 0)[
            :, None
        ]
        scores[own] = usual.max(1)
    scores += np.where(groups == "MR/axial", 3, 0).astype(np.float32)
    return Scored(groups.astype(object), lengths, 1 / (1 + np.exp(-scores / 3))), anomalous


def archive(share: float, in_past: float, reviewed: float) -> Draw:
    """Return what draws archives. reviewed: the share of the past that reviewers looked at, highest first."""

    def draw(rng: np.random.Generator) -> tuple[Scored, Scored, NDArray[np.bool_]]:
        past, anomalous = generated(rng, PAST, in_past)
        seen = past.scores >= np.quantile(past.scores, 1 - reviewed)
        return _of(past, ~(anomalous & seen)), *generated(rng, NIGHT, share)

    return draw


def _of(scored: Scored, kept: NDArray[np.bool_]) -> Scored:
    return Scored(scored.groups[kept], scored.lengths[kept], scored.scores[kept])


def real(sound: NDArray[np.float32], broken: NDArray[np.float32], share: float) -> Draw:
    """Return what divides the sound pictures in two halves, and adds broken ones of that share."""

    def draw(rng: np.random.Generator) -> tuple[Scored, Scored, NDArray[np.bool_]]:
        mixed = rng.permutation(sound)
        past, usual = np.array_split(mixed, 2)
        strange = rng.choice(broken, max(1, round(len(usual) * share / (1 - share))), replace=False)
        anomalous = np.arange(len(usual) + len(strange)) >= len(usual)
        return _alike(past), _alike(np.concatenate([usual, strange])), anomalous

    return draw


def _alike(scores: NDArray[np.float32]) -> Scored:
    return Scored(np.full(len(scores), "image", object), np.ones(len(scores), int), scores)


def measure(name: str, draw: Draw, repeats: int) -> bool:
    """Print realised figures of a kind of archive; tell whether all lists held what they promised."""
    rng = np.random.default_rng(20)
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(repeats):
        earlier, night, anomalous = draw(rng)
        past = Past()
        past.add(earlier)
        q = q_values(p_values(night, past).p)
        for level in LEVELS:
            figures.setdefault(f"q {level}", []).append(_realised(q <= level, anomalous))
        try:
            cut = for_rate(earlier.scores.astype(np.float64), RATE).threshold
            figures.setdefault("fixed", []).append(_realised(night.scores >= cut, anomalous))
        except TooFewError:
            pass
    held = True
    for label, found in figures.items():
        alarms, power, listed = np.array(found).T
        error = alarms.std() / np.sqrt(len(alarms))
        verdict = ""
        if label != "fixed":
            kept = alarms.mean() <= float(label.split()[1]) + 2 * error
            held &= kept
            verdict = "holds" if kept else "DOES NOT HOLD"
        print(
            f"{name:42} {label:8} false alarms {alarms.mean():.3f} +- {2 * error:.3f} "
            f"found {power.mean():.3f} listed {listed.mean():7.1f} {verdict}"
        )
    return held


def _realised(chosen: NDArray[np.bool_], anomalous: NDArray[np.bool_]) -> tuple[float, float, float]:
    right = (chosen & anomalous).sum()
    return 1 - right / chosen.sum() if chosen.any() else 0.0, right / max(1, anomalous.sum()), chosen.sum()


def uniformity(times: int = 10) -> None:
    rng = np.random.default_rng(4)
    for _ in range(times):
        past = Past()
        past.add(generated(rng, 1_000_000, 0)[0])
        found = kstest(p_values(generated(rng, 100_000, 0)[0], past).p, "uniform")
        print(f"p-values of 100,000 usual objects: KS statistic {found.statistic:.5f}, p {found.pvalue:.3f}")


def timed(rows: int) -> None:
    """Write two nights and make a worklist of the second."""
    from s2sw.connectors.outputs.local import LocalOutput
    from s2sw.pipeline.evidence.worklist import DEFAULT, object_worklist, write
    from s2sw.pipeline.results.reading import open_results
    from s2sw.schemas.layout import WORKLIST_FOLDER
    from tests.support.finished_runs import FIRST, SECOND, SETTINGS, write_parts
    from tests.support.rows import screened

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        output = LocalOutput(Path(folder))
        for run in (FIRST, SECOND):
            objects = (screened(n, float(s)) for n, s in enumerate(rng.beta(2, 8, rows)))
            write_parts(output, objects, run, rows=20_000)
        started = time.monotonic()
        made = object_worklist(open_results(folder, fingerprint=SETTINGS), SECOND, DEFAULT)
        write(output, made, WORKLIST_FOLDER)
        print(f"a worklist of {rows:,} objects beside {rows:,}: {time.monotonic() - started:.1f} s")


def real_scores(folder: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return zero-shot scores of sound and of broken pictures, by set."""
    from elpv_dataset.utils import load_dataset
    from PIL import Image

    from s2sw.model import load_detector
    from s2sw.model.detectors.finding import resolve_bundle

    detector = load_detector(resolve_bundle("embedded"), device="cpu")

    def score(pictures: list[Image.Image]) -> NDArray[np.float32]:
        side = (detector.image_size, detector.image_size)
        stack = [np.asarray(one.convert("RGB").resize(side, Image.Resampling.BICUBIC)) for one in pictures]
        parts = [np.stack(stack[i : i + 16]) for i in range(0, len(stack), 16)]
        return np.concatenate([detector.detect(part).score.float().numpy() for part in parts])

    tiles = folder / "magnetic_tile" / "test"
    files = {kind: sorted((tiles / kind).iterdir()) for kind in ("good", "blowhole", "crack")}
    images, probability, _ = load_dataset()
    rng = np.random.default_rng(0)
    drawn = {p: rng.permutation(np.flatnonzero(probability == p))[:n] for p, n in ((0.0, 600), (1.0, 150))}
    return {
        "magnetic_tile": (
            score([Image.open(one) for one in files["good"]]),
            score([Image.open(one) for kind in ("blowhole", "crack") for one in files[kind]]),
        ),
        "elpv": tuple(score([Image.fromarray(images[i]) for i in drawn[p]]) for p in (0.0, 1.0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int)
    arguments = parser.parse_args()
    held = True
    for share in SHARES:
        for in_past, reviewed in ((0.0, 0.0), (share, 0.0), (share, 2 * share)):
            kind = f"{share:.0%} anomalies, {in_past:.0%} in the past{', reviewed' if reviewed else ''}"
            held &= measure(kind, archive(share, in_past, reviewed), arguments.repeats)
    uniformity()
    if arguments.data:
        for name, (sound, broken) in real_scores(arguments.data).items():
            for share in (0.05, 0.1, 0.3):
                held &= measure(
                    f"{name}, {share:.0%} anomalies", real(sound, broken, share), arguments.repeats
                )
    if arguments.rows:
        timed(arguments.rows)
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
