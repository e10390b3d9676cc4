"""A data set in which something can be learnt: grey noise, and brighter squares where a mask says so."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
from PIL import Image

from s2sw.connectors.datasets import DataSet, open_dataset
from s2sw.model.training.recipes import Recipe
from s2sw.model.weights.clip import ClipWeights, clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from s2sw.pipeline.training.job import TrainSettings, Watching
from tests.support import small_clip

SIDE = small_clip.PATCH * 5
RECIPE = Recipe(4, 4, SIDE, SIDE, contexts=3, pair=0.5, pixel_object=0.1, wavelet=0.1)
QUIET = Watching(lambda total: nullcontext(lambda: None), lambda e, s: nullcontext(lambda state, means: None))


def write(root: Path, count: int = 6, classes: tuple[str, ...] = ("bolt",)) -> Path:
    for name in classes:
        for folder in ("test/good", "test/bright", "ground_truth/bright"):
            (root / name / folder).mkdir(parents=True)
        for number in range(count):
            rng = np.random.default_rng(number)
            for kind in ("good", "bright"):
                pixels = rng.integers(60, 120, (SIDE, SIDE)).astype(np.uint8)
                if kind == "bright":
                    mask = np.zeros((SIDE, SIDE), np.uint8)
                    y, x = rng.integers(0, SIDE - 16, 2)
                    mask[y : y + 16, x : x + 16] = 255
                    pixels[mask > 0] += 120
                    Image.fromarray(mask).save(root / name / "ground_truth" / kind / f"{number}_mask.png")
                Image.fromarray(pixels).save(root / name / "test" / kind / f"{number}.png")
    return root


def data_set(root: Path, **options: object) -> DataSet:
    return open_dataset(write(root, **options))  # type: ignore[arg-type]


def clip() -> ClipWeights:
    return clip_from_tensors(small_clip.state_dict(), "small.pt", LoadOptions("quick_gelu"))


def settings(detector: str = "s2swclip", **values: object) -> TrainSettings:
    return TrainSettings(detector, RECIPE, **values)  # type: ignore[arg-type]
