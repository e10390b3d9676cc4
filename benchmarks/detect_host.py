"""What the detect stage costs the CPU beside the detector: python -m benchmarks.detect_host

Tables of pictures as they come from decoding, through the stage with a detector that answers at once: copies,
maps and masks at each picture's own size, encoding, and the table of results. CPU milliseconds a picture on
one core, medians of three. With 16 cores for a GPU that screens 330 images/s it must stay below 48.
"""

import statistics
import time
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from s2sw.model.detectors.contract import Detection
from s2sw.model.maps import MapLayer
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.detecting import DetectStage
from s2sw.pipeline.stages.wire import decoded_table

SIDE, GRID, BATCH = 518, 37, 32
SIZES = ((512, 512), (1024, 1024), (2048, 2048), (3000, 4000), (6000, 8000))
KINDS = ("nothing", "defect", "noise")
LARGE = 4 << 20
"""Pixels above which a quarter of the batch is enough."""


class AnswersAtOnce:
    """A detector that gives every picture one token map.

    kind: nothing reaches the threshold; a defect of 6 x 7 tokens does; or noise, half of which does.
    """

    class_names: tuple[str, ...] = ()

    def __init__(self, kind: str, side: int = SIDE, grid: int = GRID) -> None:
        self.image_size, self.map_layers = side, (MapLayer(grid, side),)
        tokens = np.random.default_rng(0).random((grid, grid), np.float32)
        if kind != "noise":
            tokens = 0.05 + 0.15 * tokens
        if kind == "defect":
            at = slice(grid // 4, grid // 4 + 6)
            tokens[at, grid // 2 : grid // 2 + 7] += 0.6
        self._tokens = torch.from_numpy(tokens)

    def detect(self, images: NDArray[np.uint8], class_names: Sequence[str] | None = None) -> Detection:
        count = len(images)
        score = torch.full((count,), 0.5)
        return Detection(score, score[:, None].expand(-1, 4), self._tokens.expand(count, -1, -1))


def table(pictures: int, side: int, size: tuple[int, int]) -> pa.Table:
    """Return pictures of noise, a slice each: what decoding makes of files of this size."""
    random = np.random.default_rng(0)
    place = {"plane": "image", "rows": size[0], "cols": size[1], "tiles": []}
    codes = {"modality": "", "body_part": "", "applied": ""}
    return decoded_table(
        [
            {"object": number, "slice_index": 0, "pixels": pixels[None], **place, **codes}
            for number, pixels in enumerate(random.integers(0, 255, (pictures, side, side, 3), np.uint8))
        ]
    )


def milliseconds(kind: str, size: tuple[int, int], rounds: int = 3) -> float:
    """Return CPU milliseconds a picture."""
    stage = DetectStage(
        DetectSettings(partial(AnswersAtOnce, kind), threshold=0.5, batch_size=BATCH, threads=1)
    )
    count = BATCH if size[0] * size[1] <= LARGE else BATCH // 4
    given, times = table(count, SIDE, size), []
    for _ in range(1 + rounds):
        started = time.process_time()
        stage(given)
        times.append(time.process_time() - started)
    return 1e3 * statistics.median(times[1:]) / count


def main() -> None:
    with threadpool_limits(1):  # as Ray sets it for an actor of one CPU
        print(f"{'CPU ms a picture':>16}" + "".join(f"{kind:>10}" for kind in KINDS))
        for size in SIZES:
            found = [milliseconds(kind, size) for kind in KINDS]
            print(f"{size[0]:>8} x {size[1]:<5}" + "".join(f"{ms:10.1f}" for ms in found), flush=True)


if __name__ == "__main__":
    main()
