"""What a profile is worth: python -m benchmarks.profile_quality CACHE

CACHE: what ``python -m benchmarks.profile_archives DATA --cache CACHE`` has made so far. Archives drawn from
real sets with a share of anomalous pictures that nobody labels for the profile, and generated ones. AUROC of
pictures, and of pixels where there are masks, for the zero-shot score, rarity alone, few-shot with 4 normal
pictures, the constant weight, and the one that seeded defects chose: means over the draws.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.figures import note
from benchmarks.profile_archives import WHOLE, Arrays
from s2sw.model.maps import MapLayer, layered_map
from s2sw.model.metrics.images import image_metrics
from s2sw.model.metrics.pixels import PixelMetrics
from s2sw.model.rarity.choosing import CONSTANT, choose_weight
from s2sw.model.rarity.combination import Evidence, Usual, evidence_of, patch_sum, picture_sum, usual_of
from s2sw.model.rarity.seeding import WHOLE as CHANGED
from s2sw.pipeline.profile.building import UNLIKE

COLUMNS = ("zero-shot", "rarity", "few-shot", "constant", "chosen", "by changes too")
"""The last: chosen by changes of whole pictures as well, where an archive has them."""
GROUND = 10
"""Grey value up to which a pixel of a head scan is no part of the head."""
BARS = {
    "elpv": (0.88, None),
    "magnetic_tile": (0.88, 0.978),
    "ball_screw": (0.93, 0.975),
    "mri_flair": (0.80, 0.84),
}
"""What pictures and pixels of an archive with a tenth of anomalous pictures are to reach."""


class Measured(NamedTuple):
    """One archive: AUROC of pictures by column, and AUROC and AP of pixels."""

    pictures: dict[str, float]
    pixels: dict[str, tuple[float, float]]
    weight: float
    resemblance: float


def tensors(arrays: Arrays, prefix: str, rows: Any = slice(None)) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores, maps at the patches and rarity of pictures."""
    score, tokens = (torch.tensor(arrays[f"{prefix}{key}"][rows]).float() for key in ("score", "tokens"))
    return score, tokens.flatten(1), torch.tensor(arrays[f"{prefix}rare"]).float()


def judged(facts: Arrays, seeds: Arrays) -> tuple[Usual, float, float]:
    """Return what is usual in a bank, the weight that its seeded defects chose, and with whole changes."""
    usual = usual_of(*tensors(facts, "own_"))
    siblings = evidence_of(usual, *tensors(facts, "own_"))
    spoilt = evidence_of(usual, *tensors(seeds, "seed_"))
    expected = 0.0 if float(facts["resemblance"]) > UNLIKE else CONSTANT
    sizes = torch.tensor(seeds.get("seed_size", np.zeros(len(spoilt.score))))
    defects = Evidence(*(values[sizes < CHANGED] for values in spoilt))
    return usual, *(choose_weight(siblings, found, expected) for found in (defects, spoilt))


def ways(
    found: Evidence, weight: float, by_changes: float, few: Arrays | None
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return scores of pictures and maps at the patches, by column."""
    fixed = {"zero-shot": 0.0, "rarity": 1.0, "constant": CONSTANT}
    chosen = fixed | {"chosen": weight, "by changes too": by_changes}
    made = {name: (picture_sum(found, w), patch_sum(found, w)) for name, w in chosen.items()}
    if few is not None:
        made["few-shot"] = torch.tensor(few["score"]), torch.tensor(few["tokens"])
    return made


def auroc(labels: NDArray[np.bool_], scores: Tensor) -> float:
    """Return the AUROC of pictures."""
    found = image_metrics(scores.numpy().astype(np.float32), labels).auroc
    assert found is not None
    return found


def of_pixels(
    maps: Iterable[NDArray[np.float32]], masks: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> tuple[float, float]:
    """Return AUROC and AP of the pixels inside of what counts."""
    metrics = PixelMetrics()
    for one, mask, where in zip(maps, masks, inside, strict=True):
        metrics.add(one[where][None], mask[where][None])
    found = metrics.compute()
    assert found.auroc is not None
    assert found.ap is not None
    return found.auroc, found.ap


def grown(patches: Tensor, side: int) -> Iterator[NDArray[np.float32]]:
    """Yield the full map of each picture, smoothed as a run does."""
    grid = round(patches.shape[1] ** 0.5)
    for one in patches.numpy().astype(np.float32).reshape(-1, grid, grid):
        yield layered_map(one[None], (MapLayer(grid, side),), (side, side))[0]


def measured(
    name: str, facts: Arrays, arrays: Arrays, seeds: Arrays, few: Arrays | None, pixels: bool
) -> Measured:
    """Return the figures of one archive."""
    rows = facts["rows"]
    usual, weight, by_changes = judged(facts, seeds)
    found = evidence_of(usual, *tensors({**arrays, "rare": facts["rare"]}, "", rows))
    own = None if few is None else {key: few[key][rows] for key in ("score", "tokens")}
    made = ways(found, weight, by_changes, own)
    labels = arrays["label"][rows].astype(bool)
    shown: dict[str, tuple[float, float]] = {}
    if pixels and arrays["mask"][rows].any():
        grey = arrays["pix"][rows].mean(axis=-1)
        side = grey.shape[1]
        masks = np.unpackbits(arrays["mask"][rows], axis=1, count=side * side).astype(bool)
        masks = masks.reshape(-1, side, side)
        inside = grey > GROUND if name == WHOLE else np.ones(grey.shape, bool)
        shown = {key: of_pixels(grown(maps, side), masks, inside) for key, (_, maps) in made.items()}
        shown["brightness"] = of_pixels(grey.astype(np.float32), masks, inside)
    return Measured(
        {key: auroc(labels, scores) for key, (scores, _) in made.items()},
        shown,
        weight,
        float(facts["resemblance"]),
    )


def opened(file: Path) -> Arrays | None:
    """Return the arrays of a file, None where there is none."""
    if not file.exists():
        return None
    with np.load(file) as found:
        return dict(found)


def real(cache: Path, name: str) -> dict[int, list[Measured]]:
    """Return the archives drawn from a set, by their share of anomalous pictures, as per cent."""
    arrays, seeds = (opened(cache / f"{name}{part}.npz") for part in ("", "-seeds"))
    found: defaultdict[int, list[Measured]] = defaultdict(list)
    for file in sorted(cache.glob(f"{name}-[0-9][0-9]-*.npz")):
        facts, named = opened(file), re.fullmatch(r".*-(\d+)-(\d+)", file.stem)
        if arrays is None or seeds is None or facts is None or named is None:
            continue
        own = {f"seed_{key}": seeds[key][facts["seed"]] for key in ("score", "tokens")}
        few = opened(cache / f"{name}-few-{named[2]}.npz")
        share = int(named[1])
        spoilt = own | {"seed_rare": facts["seed_rare"]}
        found[share].append(measured(name, facts, arrays, spoilt, few, pixels=share in (0, 10)))
    return found


def generated(cache: Path) -> dict[str, list[Measured]]:
    """Return the generated archives by how they were drawn."""
    found: defaultdict[str, list[Measured]] = defaultdict(list)
    for file in sorted(cache.glob("generated-[0-9][0-9].npz")):
        facts = opened(file)
        assert facts is not None
        how = str(facts["kind"])
        found[how].append(measured(how, facts, facts, facts, None, pixels=False))
    return found


def line(name: str, found: list[Measured]) -> str:
    """Return a row of the table: means over the draws, of pixels behind a slash."""

    def cell(column: str) -> str:
        if column not in found[0].pictures:
            return "-"
        text = f"{fmean(one.pictures[column] for one in found):.3f}"
        pixels = [one.pixels[column][0] for one in found if one.pixels]
        return f"{text} / {fmean(pixels):.3f}" if pixels else text

    weights = " ".join(f"{weight:g}" for weight in sorted({one.weight for one in found}))
    alike = fmean(one.resemblance for one in found)
    cells = " | ".join(map(cell, COLUMNS))
    return f"| {name} | {len(found)} | {cells} | {weights} | {alike:.2f} |"


def told(name: str, found: list[Measured]) -> None:
    """Tell how figures of archives with a tenth of anomalous pictures compare with what they are to be."""
    pictures, pixels = BARS[name]
    against(f"{name}, pictures", fmean(one.pictures["chosen"] for one in found), pictures)
    shown = [one.pixels for one in found if one.pixels]
    if pixels is not None and shown:
        against(f"{name}, pixels", fmean(one["chosen"][0] for one in shown), pixels)
        ap, bright = (fmean(one[column][1] for one in shown) for column in ("chosen", "brightness"))
        print(f"{name}: AP of pixels {ap:.3f}, of brightness alone {bright:.3f}")


def against(claim: str, value: float, bar: float) -> None:
    """Print a figure beside its bar, and leave it for a summary."""
    print(f"{claim}: {value:.3f}, bar {bar:g}: {'reached' if value >= bar else 'missed'}")
    note(claim, value, "AUROC", at_least=bar)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cache", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| archive | drawn | {' | '.join(COLUMNS)} | weight | resemblance |")
    print("|---" * (len(COLUMNS) + 4) + "|")
    everything: dict[str, dict[int, list[Measured]]] = {name: real(options.cache, name) for name in BARS}
    for name, shares in everything.items():
        for share, found in shares.items():
            print(line(f"{name} {share} %" if share else name, found))
    for how, archives in generated(options.cache).items():
        print(line(f"generated, {how}", archives))
        if how == "mixed":
            worst = min(one.pictures["chosen"] - one.pictures["zero-shot"] for one in archives)
            print(f"mixed archives, chosen less zero-shot, the worst: {worst:.3f}, bar -0.01")
    for name, shares in everything.items():
        for share in (0, 10):
            if share in shares:
                told(name, shares[share])


if __name__ == "__main__":
    main()
