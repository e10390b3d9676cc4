"""Four normal pictures as a memory next to no example at all: python -m benchmarks.few_shot DATA

The embedded detector's tower, on a data set in MVTec AD's layout. References are drawn from the normal test
pictures and left out of what is measured; zero-shot figures are of the same pictures. Three memories:
WinCLIP+'s (windows and the patch tokens of the plain stream), the v-v patches that the zero-shot map is made
of, and what the tower's convolutional stem gives of each patch. Maps are compared at the input's size.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s2sw.connectors.datasets import Sample, open_dataset
from s2sw.connectors.datasets.pictures import fit_mask, read_mask, read_picture
from s2sw.model import load_detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.detectors.s2swclip import S2swClip
from s2sw.model.heads.memory import distance, remembered
from s2sw.model.heads.windows import SCALES, harmonic_map, window_embeddings
from s2sw.model.metrics import PixelMetrics, image_metrics
from s2sw.pipeline.imaging.tiles import views
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings

MEMORIES: dict[str, tuple[str, ...]] = {
    "WinCLIP+": ("windows_2", "windows_3", "tokens"),
    "v-v patches": ("v-v",),
    "stem": ("stem",),
}


@torch.inference_mode()
def seen(detector: S2swClip, x: Tensor) -> dict[str, Tensor]:
    """What a memory may hold of one picture (1, 3, S, S), each (1, windows or patches, channels)."""
    embedded = detector.tower.embed(x)
    tokens, _ = detector.tower.plain(embedded)
    _, (patches,) = detector.encode_image(x)
    found = {f"windows_{scale}": window_embeddings(detector.tower, embedded, scale) for scale in SCALES}
    return found | {
        "tokens": detector.tower.ln_post(tokens[:, 1:]),
        "v-v": patches[:, 1:],
        "stem": detector.tower.stem(x),
    }


def few_shot_map(features: Mapping[str, Tensor], memory: Mapping[str, Tensor], grid: int) -> Tensor:
    """Mean over what the memory holds of the distance to it, (1, g, g), 0..1."""
    maps = []
    for kind, known in memory.items():
        near = (distance(features[kind], known) / 2).clamp(min=0)
        scale = int(kind[-1]) if kind.startswith("windows") else 1
        maps.append(harmonic_map(near, grid, scale) if scale > 1 else near.reshape(1, grid, grid))
    return torch.stack(maps).mean(dim=0)


def figures(scores: Sequence[float], maps: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[float]:
    """Image AUROC and AP, pixel AUROC, AP and AUPRO, percent."""
    image = image_metrics(np.array(scores, np.float32), np.array([mask.any() for mask in masks]))
    pixels = PixelMetrics()
    for full, mask in zip(maps, masks, strict=True):
        pixels.add(full, mask)
    pixel = pixels.compute()
    return [100 * (v or 0) for v in (image.auroc, image.ap, pixel.auroc, pixel.ap, pixel.aupro)]


class Measured:
    """A data set through the tower once; memories are then drawn from it."""

    def __init__(self, detector: S2swClip, samples: Sequence[Sample]) -> None:
        self.detector = detector
        self.features, self.score, self.tokens, self.masks = [], [], [], []
        side, storage, decoding = detector.image_size, StorageSettings(), DecodeSettings()
        for sample in samples:
            view = next(views(read_picture(sample, storage, decoding), side, []))[None]
            out = detector.detect(view)
            self.features.append(seen(detector, detector.prepare(view)))
            self.score.append(float(out.score))
            self.tokens.append(out.token_map)
            mask = read_mask(sample, storage, decoding)
            self.masks.append(np.zeros((side, side), bool) if mask is None else fit_mask(mask, side, side))

    def draw(self, references: Sequence[int]) -> dict[str, list[float]]:
        """Figures of each way to score, on all pictures but the references."""
        rest = [i for i in range(len(self.score)) if i not in references]
        masks = [self.masks[i] for i in rest]
        rows = {
            "zero-shot": self._judged([self.score[i] for i in rest], [self.tokens[i] for i in rest], masks)
        }
        for name, kinds in MEMORIES.items():
            known = {k: remembered(torch.cat([self.features[i][k] for i in references])) for k in kinds}
            few = [few_shot_map(self.features[i], known, self.detector.grid) for i in rest]
            highest = [float(one.max()) for one in few]
            rows[name] = self._judged(highest, few, masks)
            scores = [(self.score[i] + high) / 2 for i, high in zip(rest, highest, strict=True)]
            both = [(self.tokens[i] + one) / 2 for i, one in zip(rest, few, strict=True)]
            rows[f"{name} and zero-shot"] = self._judged(scores, both, masks)
        return rows

    def _judged(self, scores: list[float], maps: list[Tensor], masks: list[np.ndarray]) -> list[float]:
        return figures(scores, [self.detector.full_map(one)[0].numpy() for one in maps], masks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--references", type=int, default=4)
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle("embedded"))
    assert isinstance(detector, S2swClip)
    measured = Measured(detector, open_dataset(args.data).samples)
    normal = [i for i, mask in enumerate(measured.masks) if not mask.any()]
    rng = np.random.default_rng(0)
    drawn = [
        measured.draw(rng.choice(normal, args.references, replace=False).tolist()) for _ in range(args.draws)
    ]
    print(f"bundle {detector.fingerprint[:12]}, {len(measured.score) - args.references} pictures, ", end="")
    print(f"{args.references} references, mean and range over {args.draws} draws, percent")
    print("| | image AUROC | image AP | pixel AUROC | pixel AP | pixel AUPRO |\n|---|---|---|---|---|---|")
    for name in drawn[0]:
        values = np.array([draw[name] for draw in drawn])
        cells = (f"{v.mean():.1f} ({v.min():.1f}..{v.max():.1f})" for v in values.T)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
