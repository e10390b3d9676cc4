"""What a picture costs in training: once through the frozen tower, then in every epoch from the cache.

    .venv/bin/python -m benchmarks.training --precision bf16

Random weights of ViT-L/14@336's shapes, text tower included, S2SWCLIP's recipe for MVTec AD, one batch.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from model.training.data import Item, packed
from model.training.loop import Plan, Training
from model.training.making import make_trainee
from model.training.recipes import recipe_of
from model.training.store import FeatureStore
from model.training.trainees import How
from model.training.visual import Features, FrozenTower
from model.untrained import VIT_L_14_336, untrained_clip

SHAPES = replace(VIT_L_14_336, text_width=768, text_layers=12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    recipe, device = recipe_of("s2swclip", "mvtec"), torch.device(given.device)
    clip = untrained_clip(SHAPES, 0)
    trainee = make_trainee("s2swclip", clip, recipe, How(device, given.precision), names=["x"], seed=0)
    tower = FrozenTower(clip, recipe.image_size, trainee.use, given.device, given.precision)
    side, rng = recipe.image_size, np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        pictures = torch.from_numpy(rng.integers(0, 256, (recipe.batch, side, side, 3), dtype=np.uint8))
        started = time.perf_counter()
        for number, picture in enumerate(pictures):
            features = tower.encode(picture[None])
            store.put(str(number), Features(features.image, features.taps))
        visual = (time.perf_counter() - started) / recipe.batch
        mask = packed(rng.random((side, side)) < 0.02)
        items = [Item(str(n), "x", n % 2 == 1, mask if n % 2 else None) for n in range(recipe.batch)]
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors")) / recipe.batch
        plan = Plan(1 + given.steps, recipe.batch, side, 0, device)
        state = Training(trainee, plan, store, items, [], Path(folder), "benchmark").run()
    epoch = float(np.median([row["seconds"] for row in state.curve[1:]])) / recipe.batch
    print(f"visual pass: {visual:.2f} s a picture; cached: {size / 2**20:.1f} MiB")
    print(f"epoch from the cache: {epoch:.2f} s a picture")
    print(f"ratio: {visual / epoch:.1f}")


if __name__ == "__main__":
    main()
