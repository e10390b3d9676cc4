"""How well the embedded detector finds real defects: python -m benchmarks.embedded_quality [FOLDER]...

Each FOLDER is a data set in MVTec AD's layout, or any other that `s2sw evaluate` reads. Solar cells come from
the package elpv-dataset: those surely defective (probability 1) against those surely sound (0). Beside the
embedded detector, in the same run: the nearest patches of the same picture on its stem, local contrast, and
mean brightness and darkness. With --references N also N normal pictures as a memory, a mean over draws; they
are left out of what is measured, and zero-shot figures of the same pictures stand beside.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from elpv_dataset.utils import load_dataset
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from s2sw.connectors.datasets import open_dataset
from s2sw.connectors.datasets.pictures import fit_mask, read_mask, read_picture
from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.embedded import Embedded
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.metrics import PixelMetrics, image_metrics
from s2sw.model.precision import Precision
from s2sw.model.towers.preprocess import resize_to_square
from s2sw.model.towers.self_similarity import nearest_elsewhere
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings

CONTRAST_SIDE = 252

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Scored = tuple[float, NDArray[np.float32]]
"""Image score and map (side, side)."""
Scorer = Callable[[Picture], Scored]


@dataclass(frozen=True)
class Labelled:
    """read: the picture, (rows, cols) or (rows, cols, 3), and its mask, None where there are none."""

    read: Callable[[], tuple[Picture, Mask | None]]
    anomalous: bool


@dataclass
class Tally:
    """Scores of one method over one data set."""

    scores: list[float] = field(default_factory=list)
    pixels: PixelMetrics = field(default_factory=PixelMetrics)
    masked: bool = True

    def add(self, scored: Scored, mask: Mask | None) -> None:
        score, found = scored
        self.scores.append(score)
        self.masked = self.masked and mask is not None
        if mask is not None:
            self.pixels.add(found, fit_mask(mask, *found.shape))

    def figures(self, labels: list[bool]) -> list[float]:
        """Image AUROC and AP, and, where there are masks, pixel AUROC, AP and AUPRO."""
        image = image_metrics(np.array(self.scores), np.array(labels))
        found = [image.auroc, image.ap]
        if self.masked:
            pixel = self.pixels.compute()
            found += [pixel.auroc, pixel.ap, pixel.aupro]
        return [float("nan") if value is None else value for value in found]


def grey(picture: Picture, side: int) -> NDArray[np.float32]:
    image = Image.fromarray(picture).convert("L").resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32) / 255


def contrast(picture: Picture) -> Scored:
    """|G1 - G12|, smoothed: the difference of a pixel from its wide surroundings."""
    level = grey(picture, CONTRAST_SIDE)
    found = gaussian_filter(np.abs(gaussian_filter(level, 1) - gaussian_filter(level, 12)), 4)
    return float(found.max()), found


def brightness(picture: Picture) -> Scored:
    level = grey(picture, CONTRAST_SIDE)
    return float(level.mean()), level


def darkness(picture: Picture) -> Scored:
    score, level = brightness(picture)
    return -score, 1 - level


def colour(picture: Picture) -> Picture:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def detecting(detector: Embedded) -> Scorer:
    def score(picture: Picture) -> Scored:
        out = detector.detect(colour(picture)[None])
        return float(out.score[0]), detector.full_map(out.token_map.numpy())[0]

    return score


def nearest(detector: Embedded) -> Scorer:
    """Distance of each patch to the nearest elsewhere in its picture, mean over the stem's compared taps."""

    def score(picture: Picture) -> Scored:
        taps = detector.patch_features(detector.prepare(colour(picture)[None]))
        apart = [nearest_elsewhere(functional.normalize(tap, dim=-1))[..., 0] for _, tap in taps]
        tokens = torch.stack(apart).mean(dim=0).reshape(1, detector.grid, detector.grid)
        return float(tokens.max()), detector.full_map(tokens.numpy())[0]

    return score


def solar_cells() -> Iterator[Labelled]:
    images, probability, _ = load_dataset()
    for image, defective in zip(images, probability, strict=True):
        if defective in (0.0, 1.0):
            yield Labelled(lambda image=image: (image, None), defective == 1.0)  # type: ignore[misc]


def labelled(folder: str) -> Iterator[Labelled]:
    storage, decoding = StorageSettings(), DecodeSettings()
    for sample in open_dataset(folder).samples:

        def read(sample=sample) -> tuple[Picture, Mask | None]:  # type: ignore[no-untyped-def]
            picture, mask = (one(sample, storage, decoding) for one in (read_picture, read_mask))
            if mask is None and not sample.anomalous:
                mask = np.zeros(picture.shape[:2], bool)
            return picture, mask

        yield Labelled(read, sample.anomalous)


def table(rows: dict[str, list[float]]) -> None:
    print(f"{'':34}{'image AUROC':>12}{'AP':>8}{'pixel AUROC':>13}{'AP':>8}{'AUPRO':>8}")
    for name, figures in rows.items():
        widths = (12, 8, 13, 8, 8)
        print(
            f"{name:34}" + "".join(f"{v:{w}.3f}" for v, w in zip(figures, widths, strict=False)), flush=True
        )


def measure(samples: list[Labelled], methods: dict[str, Scorer]) -> dict[str, list[float]]:
    tallies = {name: Tally() for name in methods}
    for sample in samples:
        picture, mask = sample.read()
        for name, method in methods.items():
            tallies[name].add(method(picture), mask)
    labels = [sample.anomalous for sample in samples]
    return {name: tally.figures(labels) for name, tally in tallies.items()}


def few_shot(
    samples: list[Labelled], references: int, draws: int, precision: str
) -> dict[str, list[list[float]]]:
    """Figures of each draw with normal pictures drawn from the samples; these are left out."""
    normal = [i for i, sample in enumerate(samples) if not sample.anomalous]
    found: dict[str, list[list[float]]] = {}
    for draw in range(draws):
        chosen = np.random.default_rng(draw).choice(normal, references, replace=False).tolist()
        with tempfile.TemporaryDirectory() as folder:
            side = 350
            pictures = [
                resize_to_square(torch.from_numpy(colour(samples[i].read()[0])[None].copy()), side)[0]
                for i in chosen
            ]
            build_bundle(Path(folder) / "b", detector="embedded", references=torch.stack(pictures).numpy())
            detector = load_detector(Path(folder) / "b", precision=precision)  # type: ignore[arg-type]
        rest = [sample for i, sample in enumerate(samples) if i not in chosen]
        for name, figures in measure(rest, {f"{references} normal pictures": detecting(detector)}).items():  # type: ignore[arg-type]
            found.setdefault(name, []).append(figures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--bundle", default="embedded")
    parser.add_argument("--precision", choices=get_args(Precision), default="fp32")
    parser.add_argument("--references", type=int, default=0, help="normal pictures of a memory; 0 for none")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--cells", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle(args.bundle), precision=args.precision)
    assert isinstance(detector, Embedded)
    print(f"{args.bundle}, fingerprint {detector.fingerprint[:12]}, {args.precision}")
    methods = {
        "embedded": detecting(detector),
        "nearest patches of the same picture": nearest(detector),
        "local contrast": contrast,
        "mean brightness": brightness,
        "mean darkness": darkness,
    }
    sets = {Path(folder).name: (lambda folder=folder: list(labelled(folder))) for folder in args.folders}
    if args.cells:
        sets["elpv-dataset"] = lambda: list(solar_cells())
    for name, read in sets.items():
        samples = read()
        anomalous = sum(sample.anomalous for sample in samples)
        print(f"\n{name}: {len(samples) - anomalous} normal pictures, {anomalous} anomalous ones")
        rows = measure(samples, methods)
        if args.references:
            for few, draws in few_shot(samples, args.references, args.draws, args.precision).items():
                rows[f"{few}, mean of {args.draws} draws"] = np.mean(draws, axis=0).tolist()
        table(rows)


if __name__ == "__main__":
    main()
