"""What a picture costs in training: once through the frozen tower, then in every epoch from the cache.

    .venv/bin/python -m benchmarks.training --precision bf16

Random weights of ViT-L/14@336's shapes, text tower included, S2SWCLIP's recipe for MVTec AD, one batch. On a
CPU one thread works and its own seconds are counted, so that others on the machine do not matter.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from s2sw.model.precision import usable
from s2sw.model.training.data import Item, packed
from s2sw.model.training.loop import Plan, Training
from s2sw.model.training.making import make_trainee
from s2sw.model.training.recipes import recipe_of
from s2sw.model.training.store import FeatureStore
from s2sw.model.training.trainees import How
from s2sw.model.training.visual import Features, FrozenTower
from s2sw.model.weights.untrained import VIT_L_14_336, untrained_clip

SHAPES = replace(VIT_L_14_336, text_width=768, text_layers=12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    recipe, device = recipe_of("s2swclip", "mvtec"), torch.device(given.device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    torch.set_num_threads(1)
    clip = untrained_clip(SHAPES, 0)
    precision = usable(given.precision, device)
    trainee = make_trainee("s2swclip", clip, recipe, How(device, precision), names=["x"], seed=0)
    tower = FrozenTower(clip, recipe.image_size, trainee.use, given.device, precision)
    side, rng = recipe.image_size, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        pictures = torch.from_numpy(rng.integers(0, 256, (recipe.batch, side, side, 3), dtype=np.uint8))
        started = clock()
        for number, picture in enumerate(pictures):
            features = tower.encode(picture[None])
            store.put(str(number), Features(features.image, features.taps))
        visual = (clock() - started) / recipe.batch
        mask = packed(rng.random((side, side)) < 0.02)
        items = [Item(str(n), "x", n % 2 == 1, mask if n % 2 else None) for n in range(recipe.batch)]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors")) / recipe.batch
        plan, ends = Plan(1 + given.steps, recipe.batch, side, 0, device), []
        training = Training(trainee, plan, store, items, [], Path(folder), "benchmark")
        training.run(lambda state, means: ends.append(clock()))
    epoch = float(np.median(np.diff(ends))) / recipe.batch
    print(f"visual pass: {visual:.2f} s a picture; cached: {size / 2**20:.1f} MiB")
    print(f"epoch from the cache: {epoch:.2f} s a picture")
    print(f"ratio: {visual / epoch:.1f}")


if __name__ == "__main__":
    main()
