"""WinCLIP's windows in one pass next to a pass a window: python -m benchmarks.winclip_windows

ViT-B/16+ at 240 px with random weights, one thread, one picture; CPU seconds of one run, medians of rounds in
turn. The plain loop runs the same tower over the same tokens, one window at a time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from s2sw.model.heads.windows import SCALES, window_embeddings, window_tokens
from s2sw.model.towers.visual import VisionTower
from s2sw.model.weights.untrained import Shape, untrained_clip

VIT_B_16_PLUS_240 = Shape(width=896, layers=12, patch=16, grid=15, joint=640, text_width=64, text_layers=1)


def one_by_one(tower: VisionTower, embedded: Tensor, scale: int) -> Tensor:
    passes = [tower.plain(embedded[:, tokens])[0][:, 0] for tokens in window_tokens(15, scale)]
    return tower.project(torch.stack(passes, dim=1))


def cpu_seconds(run: Callable[..., Tensor], *args: object) -> tuple[float, Tensor]:
    started = time.process_time()
    found = run(*args)
    return time.process_time() - started, found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    tower = untrained_clip(VIT_B_16_PLUS_240, seed=1).vision_tower()
    embedded = tower.embed(torch.randn(1, 3, 240, 240, generator=torch.Generator().manual_seed(2)))
    window_embeddings(tower, embedded, 2)
    total = {"loop": 0.0, "batched": 0.0}
    for scale in SCALES:
        pairs = [
            (
                cpu_seconds(one_by_one, tower, embedded, scale),
                cpu_seconds(window_embeddings, tower, embedded, scale),
            )
            for _ in range(rounds)
        ]
        loop, batched = (statistics.median(pair[i][0] for pair in pairs) for i in (0, 1))
        difference = float((pairs[0][0][1] - pairs[0][1][1]).abs().max())
        total = {"loop": total["loop"] + loop, "batched": total["batched"] + batched}
        print(
            f"{len(window_tokens(15, scale))} windows of {scale} x {scale}: one by one {loop:.2f} s, "
            f"together {batched:.2f} s, {loop / batched:.1f} x, largest difference {difference:.0e}"
        )
    print(f"both scales: {total['loop'] / total['batched']:.1f} x")


if __name__ == "__main__":
    main()
