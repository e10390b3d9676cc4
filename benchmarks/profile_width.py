"""What it costs in AUROC that a bank keeps 128 numbers of a patch: python -m benchmarks.profile_width CACHE

CACHE: what ``python -m benchmarks.profile_archives DATA --cache CACHE`` has made of the real sets. Rarity
alone, of pictures of an archive with a tenth of anomalous ones, beside a bank of the others: AUROC of
pictures, and of patches where there are masks, by how many numbers of a patch are kept.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmarks.profile_archives import REAL, WHOLE, Arrays, archive, case_of, sampled
from benchmarks.profile_quality import auroc
from s2sw.model.rarity.bank import Bank, highest_mean, make_bank
from s2sw.pipeline.profile.drafting import drafts

WIDTHS = (32, 64, 128, 384)
SHARE, JUDGED = 0.1, 150
"""Share of anomalous pictures in the archive, and pictures that are judged at most."""


def rare(bank: Bank, rows: list[int], cases: NDArray[np.str_]) -> Tensor:
    """Return the rarity of patches of the bank's own pictures beside those of other cases: (taps, n, N)."""
    found = []
    for row in rows:
        allowed = torch.from_numpy(cases != cases[row])
        one = bank.compare(bank.descriptions[row], bank.own(row), allowed)
        assert one is not None
        found.append(one)
    return torch.stack(found, dim=1)


def anomalous_patches(arrays: Arrays, rows: NDArray[np.int64], grid: int) -> NDArray[np.bool_]:
    """Return which patches are anomalous for more than half: (n, N)."""
    side = arrays["pix"].shape[1]
    masks = np.unpackbits(arrays["mask"][rows], axis=-1)[:, : side * side].reshape(-1, 1, side, side)
    pooled = functional.adaptive_avg_pool2d(torch.from_numpy(masks).float(), grid)
    return (pooled > 0.5).flatten(1).numpy()


def measure(name: str, folder: Path) -> None:
    """Print the figures of one set."""
    with np.load(folder / f"{name}.npz") as file:
        arrays = dict(file)
    rows = archive(arrays["label"].astype(bool), name, 0.0 if name == WHOLE else SHARE, 0)
    (draft,) = drafts([sampled(arrays, row, row, case_of(arrays, row, name)) for row in rows])
    features = [one.features() for one in draft.pictures]
    owners = np.array([int(one.owner) for one in draft.pictures])
    cases = np.array([one.case or one.owner for one in draft.pictures])
    labels = arrays["label"][owners].astype(bool)
    order = np.random.default_rng(0).permutation(len(owners))
    chosen = sorted([*np.flatnonzero(labels), *order[~labels[order]]][:JUDGED])
    grid = round(len(features[0].patches[0]) ** 0.5)
    masks = anomalous_patches(arrays, owners[chosen], grid)
    for width in WIDTHS:
        apart = rare(make_bank(features, width), chosen, cases)
        offset, scale = apart.mean(dim=(1, 2), keepdim=True), apart.std(dim=(1, 2), keepdim=True)
        patches = ((apart - offset) / scale).mean(dim=0)
        of_pictures = auroc(labels[chosen], highest_mean(patches))
        of_patches = f"{auroc(masks.ravel(), patches.flatten()):.4f}" if masks.any() else ""
        print(f"| {name} | {len(chosen)} | {width} | {of_pictures:.4f} | {of_patches} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cache", type=Path)
    parser.add_argument("--sets", nargs="*", default=REAL, choices=REAL)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| set | pictures | numbers of a patch | pictures | patches |\n|---|---|---|---|---|")
    for name in options.sets:
        measure(name, options.cache)


if __name__ == "__main__":
    main()
