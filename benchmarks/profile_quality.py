"""What a profile is worth: python -m benchmarks.profile_quality DATA [--cache FOLDER] [--shares 0.1]

Archives drawn from real sets with a share of anomalous pictures that nobody labels for the profile, and one
of generated surfaces of mixed kinds. AUROC of pictures, and of patches where there are masks, for the
zero-shot score, rarity alone, both with the constant weight, and with the one that seeded defects chose.
DATA: a folder with MVTec-style sets magnetic_tile, ball_screw and mri_flair; elpv comes from its package.
"""

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.model import load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.embedded_training.pictures import draw_scenes
from s2sw.model.metrics.images import image_metrics
from s2sw.model.rarity.choosing import CONSTANT
from s2sw.model.rarity.combination import evidence_of, patch_sum, picture_sum
from s2sw.model.rarity.features import Features, compared_taps, features_of
from s2sw.model.rarity.seeding import KINDS, seeded
from s2sw.model.synthetic.scenes import training_mixture
from s2sw.pipeline.imaging.tiles import in_colour, shrunk
from s2sw.pipeline.profile.building import bank_of, judge
from s2sw.pipeline.profile.drafting import Sampled, drafts
from s2sw.pipeline.profile.ranking import compared
from s2sw.schemas.decoding import DecodeSettings

SEEDS = 48
ELPV = {0.0: 200, 1.0: 67}
SETS = ("magnetic_tile", "ball_screw", "elpv", "mri_flair", "generated, mixed kinds")
Labelled = tuple[NDArray[np.uint8], bool, NDArray[np.bool_], str]
"""Pixels, whether anomalous, mask at the patches, name."""
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Picture:
    path: Path
    anomalous: bool
    mask: Path | None = None

    def pixels(self) -> NDArray[np.uint8]:
        _, slices = decode(self.path.read_bytes(), DecodeSettings())
        return next(iter(slices)).pixels


def folder_set(folder: Path) -> Iterator[Picture]:
    for path in sorted((folder / "test").rglob("*.*")):
        kind = path.parent.name
        mask = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
        yield Picture(path, kind != "good", mask if mask.exists() else None)


def elpv() -> Iterator[Picture]:
    import elpv_dataset

    root = Path(elpv_dataset.__file__).parent / "data"
    lines = [line.split() for line in (root / "labels.csv").read_text().splitlines() if line.strip()]
    for probability, count in ELPV.items():
        own = [root / line[0] for line in lines if float(line[1]) == probability]
        for row in np.random.default_rng(0).permutation(len(own))[:count]:
            yield Picture(own[row], probability == 1)


def seen(
    detector: Detector, pixels: NDArray[np.uint8]
) -> tuple[float, NDArray[np.float32], list[torch.Tensor]]:
    found, taps = detector.detect_with_patches(pixels[None])
    return float(found.score[0]), found.token_map[0].numpy(), compared_taps(taps)


def extract(detector: Detector, pictures: Iterable[Labelled]) -> Arrays:
    """Return what is measured of pictures, so that it is computed once."""
    keys = ("score", "tokens", "tap0", "tap1", "label", "mask", "name", "pix")
    out: dict[str, list[Any]] = {key: [] for key in keys}
    for pixels, anomalous, mask, name in pictures:
        small = in_colour([next(iter(shrunk(pixels, detector.image_size, [])))[None]])[0]
        score, tokens, taps = seen(detector, small)
        row = (score, tokens, *(tap[0].half().cpu().numpy() for tap in taps), anomalous, mask, name, small)
        for key, value in zip(keys, row, strict=True):
            out[key].append(value)
    return {key: np.array(values) for key, values in out.items()}


def pictures_of(name: str, data: Path, grid: int) -> Iterator[Labelled]:
    if name == SETS[-1]:
        rng, mixture = np.random.default_rng(5), training_mixture(0.8)
        for number in range(120):
            normal, spoilt = (scene.picture for scene in draw_scenes(rng, mixture, 2))
            bad = number % 10 == 0
            yield spoilt if bad else normal, bad, np.zeros((grid, grid), bool), f"{number}"
        return
    for one in elpv() if name == "elpv" else folder_set(data / name):
        mask = np.zeros((grid, grid), bool)
        if one.mask:
            small = Image.open(one.mask).convert("L").resize((grid, grid), Image.Resampling.BOX)
            mask = np.asarray(small) > 64
        yield one.pixels(), one.anomalous, mask, one.path.name


def load(name: str, data: Path, cache: Path | None, detector: Detector) -> Arrays:
    file = cache / f"{name.split(',')[0]}.npz" if cache else None
    if file and file.exists():
        with np.load(file) as found:
            return dict(found)
    arrays = extract(detector, pictures_of(name, data, detector.grid))
    if file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return arrays


def sampled(arrays: Arrays, rows: Sequence[int], name: str) -> list[Sampled]:
    def features(row: int) -> Features:
        taps = [torch.tensor(arrays[f"tap{tap}"][row : row + 1]).float() for tap in range(2)]
        return features_of(taps)[0]

    found = []
    for row in rows:
        stem = str(arrays["name"][row])
        case = stem.split("_")[0] if name == "mri_flair" else ""
        tokens = arrays["tokens"][row].reshape(-1)
        found.append(
            Sampled(f"{row:05}", 0, case, ("all",), arrays["score"][row], tokens, partial(features, row))
        )
    return found


def spoilt(detector: Detector, arrays: Arrays, bank: Sequence[Sampled]) -> list[Sampled]:
    found = []
    for place, one in enumerate(bank[:SEEDS]):
        rng = np.random.default_rng([place, 1])
        picture, donor = (arrays["pix"][int(other.owner)] for other in (one, bank[place - 1]))
        seed = seeded(rng, picture, donor, KINDS[place % len(KINDS)])
        if seed is None:
            continue
        score, tokens, taps = seen(detector, seed.picture)
        (own,) = features_of(taps)
        found.append(
            Sampled(
                one.owner,
                place,
                one.case,
                one.groups,
                score,
                tokens.reshape(-1),
                partial(_same, own),
                seed.size,
                seed.contrast,
            )
        )
    return found


def _same(features: Features) -> Features:
    return features


def archive(labels: NDArray[np.bool_], name: str, share: float, draw: int) -> list[int]:
    """Return the rows of an archive with this share of anomalous pictures; some sets are taken whole."""
    if name in (SETS[-1], "mri_flair"):
        return list(range(len(labels)))
    normal, bad = np.flatnonzero(~labels), np.flatnonzero(labels)
    count = min(len(bad), round(len(normal) * share / (1 - share)))
    return sorted([*normal, *np.random.default_rng(draw).permutation(bad)[:count]])


def auroc(labels: NDArray[np.bool_], scores: torch.Tensor) -> float:
    found = image_metrics(np.asarray(scores, np.float32), labels).auroc
    assert found is not None
    return found


def measure(detector: Detector, arrays: Arrays, name: str, share: float, draw: int) -> str:
    rows = archive(arrays["label"].astype(bool), name, share, draw)
    labels = arrays["label"][rows].astype(bool)
    everything = sampled(arrays, rows, name)
    started = time.monotonic()
    (draft,) = drafts(everything)
    kept = bank_of(draft)
    judged = judge(kept, spoilt(detector, arrays, draft.pictures))
    assert judged is not None
    built, started = time.monotonic() - started, time.monotonic()
    rare = [compared(kept, one.subject, one.features()) for one in everything]
    each = (time.monotonic() - started) / len(rows)
    found = evidence_of(
        judged.combination.usual,
        torch.tensor(arrays["score"][rows]),
        torch.tensor(arrays["tokens"][rows]).flatten(1),
        torch.stack([one for one in rare if one is not None]),
    )
    weight = judged.combination.weight
    weights = (0.0, 1.0, CONSTANT, weight)
    cells = [auroc(labels, picture_sum(found, w)) for w in weights]
    text = " | ".join(f"{cell:.3f}" for cell in cells)
    if "mask" in arrays and arrays["mask"][rows].any():
        masks = arrays["mask"][rows].reshape(-1).astype(bool)
        cells = [auroc(masks, patch_sum(found, w).reshape(-1)) for w in weights]
        text += " ; patches " + " | ".join(f"{cell:.3f}" for cell in cells)
    cost = f"{built:.0f} s, {1000 * each:.0f} ms"
    return f"| {name} {share:.0%} | {text} | {weight:g} | {judged.resemblance:.2f} | {cost} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, help="keep what the detector gives of the pictures here")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1])
    parser.add_argument("--draws", type=int, default=1)
    options = parser.parse_args()
    detector = load_detector(resolve_bundle("embedded"))
    print("| archive | zero-shot | rarity | constant | chosen | weight | resemblance | built in, a picture |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.sets:
        arrays = load(name, options.data, options.cache, detector)
        for share in options.shares:
            for draw in range(options.draws):
                print(measure(detector, arrays, name, share, draw), flush=True)


if __name__ == "__main__":
    main()
