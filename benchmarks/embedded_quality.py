"""How well the embedded detector finds real defects: python -m benchmarks.embedded_quality [FOLDER]...

Each FOLDER is a data set in MVTec AD's layout, or any other that `s2sw evaluate` reads. Solar cells come from
the package elpv-dataset: those surely defective (probability 1) against those surely sound (0). Beside the
embedded detector, in the same run: a network of its kind untrained, local contrast, and mean brightness.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from elpv_dataset.utils import load_dataset
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from s2sw.connectors.datasets import open_dataset
from s2sw.connectors.datasets.pictures import fit_mask, read_mask, read_picture
from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.embedded import embedded_bundle
from s2sw.model.metrics import PixelMetrics, image_metrics
from s2sw.model.weights.untrained import Shape, untrained_clip
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings

CONTRAST_SIDE = 252
UNTRAINED = Shape(width=256, layers=12, patch=16, grid=15, joint=256, text_width=64, text_layers=4)

Picture = NDArray[np.uint8]
Scored = tuple[float, NDArray[np.float32]]
"""Image score and map (side, side)."""
Scorer = Callable[[Picture], Scored]


@dataclass
class Tally:
    """Scores of one method over one data set."""

    scores: list[float] = field(default_factory=list)
    pixels: PixelMetrics = field(default_factory=PixelMetrics)


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


def detecting(detector: Detector) -> Scorer:
    def score(picture: Picture) -> Scored:
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        out = detector.detect(colour[None])
        return float(out.score[0]), detector.full_map(out.token_map.numpy())[0]

    return score


def solar_cells() -> Iterator[tuple[Picture, None, bool]]:
    images, probability, _ = load_dataset()
    for image, defective in zip(images, probability, strict=True):
        if defective in (0.0, 1.0):
            yield image, None, defective == 1.0


def labelled(folder: str) -> Iterator[tuple[Picture, NDArray[np.bool_] | None, bool]]:
    storage, decoding = StorageSettings(), DecodeSettings()
    for sample in open_dataset(folder).samples:
        picture, mask = (read(sample, storage, decoding) for read in (read_picture, read_mask))
        if mask is None and not sample.anomalous:
            mask = np.zeros(picture.shape[:2], bool)
        yield picture, mask, sample.anomalous


def measure(
    samples: Iterable[tuple[Picture, NDArray[np.bool_] | None, bool]], methods: dict[str, Scorer]
) -> None:
    tallies = {name: Tally() for name in methods}
    labels, masked = [], True
    for picture, mask, anomalous in samples:
        labels.append(anomalous)
        masked = masked and mask is not None
        for name, method in methods.items():
            score, found = method(picture)
            tallies[name].scores.append(score)
            if mask is not None:
                tallies[name].pixels.add(found, fit_mask(mask, *found.shape))
    print(f"{labels.count(False)} normal pictures, {labels.count(True)} anomalous ones")
    print(f"{'':22}{'image AUROC':>12}{'AP':>8}{'pixel AUROC':>13}{'AP':>8}{'AUPRO':>8}")
    for name, tally in tallies.items():
        image = image_metrics(np.array(tally.scores), np.array(labels))
        line = f"{name:22}{image.auroc:12.3f}{image.ap:8.3f}"
        if masked:
            pixel = tally.pixels.compute()
            line += f"{pixel.auroc:13.3f}{pixel.ap:8.3f}{pixel.aupro:8.3f}"
        print(line)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as cache:
        untrained = build_bundle(
            Path(cache) / "untrained",
            untrained_clip(UNTRAINED, 20240607),
            image_size=240,
            prompts="handwritten",
            trained=False,
        )
        methods = {
            "embedded": detecting(load_detector(embedded_bundle(Path(cache)))),
            "untrained": detecting(load_detector(untrained)),
            "local contrast": contrast,
            "mean brightness": brightness,
            "mean darkness": darkness,
        }
        for folder in sys.argv[1:]:
            print(f"\n{Path(folder).name}: ", end="")
            measure(labelled(folder), methods)
        print("\nelpv-dataset: ", end="")
        measure(solar_cells(), methods)


if __name__ == "__main__":
    main()
